// Package windowstore has the typed window store: values by key and window start, read by
// key and time range, and forgotten after a retention time.
//
// # Time and retention
//
// The store's time is the largest window start that was ever put into it; it is committed
// with the state, and survives restarts. A row whose start is not later than the store's
// time minus the retention is expired: reads do not show it, and a put of such a row
// changes nothing but the changelog, where Kafka Streams writes it too, and is counted as
// a dropped record. This is so to the millisecond, for every kind of store. (In Kafka
// Streams persistent stores take rows that reads do not show.)
//
// Expired rows are deleted by segments of half the retention, and of one minute at least,
// at a commit.
//
// # Order
//
// Rows are in order of segment, then of the bytes of the encoded key and the window
// start. Rows of one key are in order of start. Rows of several keys are not in order of
// start.
//
// What package state says about commits, aborts and values holds here too.
package windowstore
