// Package query reads the committed rows of stores, as bytes.
//
// It is the lower storey of queries. It knows kinds of stores and their layouts, and
// which partitions have the rows that a query asks for. It knows neither types nor Kafka.
// The upper storey, in the root package, encodes keys, decodes rows, and says which
// partitions this process holds.
//
// Order of rows within a partition:
//
//   - Key-value stores: by the bytes of the encoded keys.
//   - Windows of one key: by window start, then by sequence number.
//   - Windows of all keys: by segment (an interval of window starts), then by the bytes
//     of the stored key: the encoded key, the window start, the sequence number.
//
// Sequence numbers tell the duplicates of a window apart; other stores have only 0.
//
// The partitions follow each other in ascending order. [Range.Reverse] turns all of it
// round.
package query
