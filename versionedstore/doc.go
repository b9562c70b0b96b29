// Package versionedstore has the typed versioned store. It keeps the values of each key,
// with the time from which each value is valid. A read can ask for the value that was
// valid at a given time.
//
//	var prices = versionedstore.New("prices", serde.String, serde.Float64, 24*time.Hour)
//
//	price, ok, err := p.prices.GetAsOf(item, order.Timestamp)
//
// # Versions
//
// A version is a value and the time from which it is valid, usually the timestamp of the
// record that brought it. It is valid until the next version of its key begins, or until
// the key is deleted. Versions may be put in any order. A version that is put between two
// others ends where the later one begins. A put replaces a version of the key that begins
// at the same time.
//
// # History
//
// The store's time is the latest beginning of all versions and deletions that were ever
// put, of any key. It is committed with the state, and survives restarts. The history
// begins at the store's time minus the retention, which is the argument history of [New]:
//
//   - A read as of a time before the history finds the newest version of the key if it
//     was valid at that time. It finds no other version.
//   - A version that begins before the history is refused, and counted as a dropped
//     record.
//
// The newest version of a key is kept until the key is deleted, however old it is.
// Earlier versions are deleted at a commit, by segment. The length of a segment is half
// the retention, but at least one minute.
//
// # Changelog
//
// The changelog has a record for each version, in the format of Kafka Streams' versioned
// stores: the key, the value, and the beginning of the version as the timestamp. The
// topic is compacted, and compaction keeps the last record of each key. Two things
// follow:
//
//   - When an earlier version is logged, the newest version of its key is logged again
//     after it. Compaction therefore never removes the newest version. (Kafka Streams
//     does not do this.)
//   - Earlier versions stay in the changelog for at least the retention and a day
//     (min.compaction.lag.ms). Brokers measure this time against the timestamps of the
//     records, which are the beginnings of the versions. If an application reads old
//     input, its versions may be older than that, and brokers may compact them at once.
//     If the disk of the store is then lost, only the newest versions are restored.
//     docs/internal-topics.md says how to avoid that.
//
// The rules of package state about commits, aborts and keys apply here too. Values must
// not be changed in place, because the store keeps them as earlier versions.
package versionedstore
