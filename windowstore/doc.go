// Package windowstore has the typed window store. It keeps values by key and window
// start, reads them by key and time range, and forgets them after a retention time.
//
// # Time and retention
//
// The store's time is the largest window start that was ever put into it. It is committed
// with the state, and survives restarts.
//
// If the start of a row is not later than the store's time minus the retention, the row
// is expired. This is exact to the millisecond, for every kind of store:
//
//   - Reads do not show an expired row. (In Kafka Streams, persistent stores accept rows
//     that reads do not show.)
//   - A put of an expired row does not change the store, and counts as a dropped record.
//     It is not logged either, so that a lost disk changes nothing. (Kafka Streams writes
//     it to the changelog.)
//
// Expired rows are deleted at a commit, by segment. The length of a segment is half the
// retention, but at least one minute.
//
// # Order
//
// Rows are ordered by segment, then by the bytes of the encoded key and the window start.
// Rows of one key are in order of start. Rows of several keys are not.
//
// The rules of package state about commits, aborts and values apply here too.
package windowstore
