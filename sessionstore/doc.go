// Package sessionstore has the typed session store. It keeps values by key, start and end
// of a session, finds them by key and time, and forgets them after a retention time.
//
// A session is a period of activity of a key. It begins at the time of its first record
// and ends at the time of its last record, both included.
//
// # Time and retention
//
// The store's time is the largest end of a session that was ever put into it. It is
// committed with the state, and survives restarts. A session has expired if its end is
// not later than the store's time minus the retention. The rule holds to the millisecond,
// for every kind of store:
//
//   - Reads do not return an expired session.
//   - A put of an expired session does not change the store. It is counted as a dropped
//     record. It is not logged either, so that a lost disk changes nothing. (Kafka
//     Streams writes it to the changelog.)
//
// Expired sessions are deleted at a commit, by segment. The length of a segment is half
// the retention, but at least one minute.
//
// # Order
//
// Sessions are ordered by segment, then by the bytes of the encoded key, then by end and
// start. The sessions of one key are therefore in order of end. The sessions of several
// keys are not.
//
// The rules of package state about commits, aborts and values apply here too.
package sessionstore
