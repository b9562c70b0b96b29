// Package sessionstore has the typed session store: values by key, start and end of a
// session, found by key and time, and forgotten after a retention time.
//
// A session is a period of activity of a key. Its end is the time of its last record, and
// belongs to it.
//
// # Time and retention
//
// The store's time is the largest end of a session that was ever put into it. It is
// committed with the state, and survives restarts. A session has expired if its end is
// not later than the store's time minus the retention. Reads do not show it. A put of it
// changes nothing but the changelog, where Kafka Streams writes it too, and is counted as
// a dropped record. This is so to the millisecond, for every kind of store.
//
// Expired sessions are deleted by segments of half the retention, and of one minute at
// least, at a commit.
//
// # Order
//
// Sessions are in order of segment, then of the bytes of the encoded key, of end and of
// start. The sessions of one key are in order of end. Those of several keys are not.
//
// What package state says about commits, aborts and values holds here too.
package sessionstore
