// Package restore reads changelog partitions up to their end, so that a store can be caught up before its task starts.
//
// The end is the high watermark, taken when Restore is called, which is after the partitions were assigned: a
// predecessor's last transaction may be committed while the last stable offset has not moved yet. What is read is
// read_committed up to there. So a restore waits for an open transaction of a predecessor to be decided, and never sees
// a record of one that was aborted.
//
// A position counts offsets, not records: transaction markers and offsets that compaction has removed count too. A
// changelog that ends in a marker is at its end behind the marker.
//
// What to do about a position that does not fit the changelog is the caller's decision, because it depends on the kind
// of store. Restore reports it with the facts, and never skips or resets on its own.
package restore
