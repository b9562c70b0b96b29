// Package versionedstore has the typed versioned store: the values by key, each with the
// time from which it is valid, so that a read can ask for the value as of a time.
//
//	var prices = versionedstore.New("prices", serde.String, serde.Float64, 24*time.Hour)
//
//	price, ok, err := p.prices.GetAsOf(item, order.Timestamp)
//
// # Versions
//
// A version is valid from its own time until the next version of its key begins, or until
// the key is deleted. Versions may be put in any order. A version that is put between two
// others ends where the later one begins. A version from the same time is replaced.
//
// # History
//
// The store's time is the largest time of a version that was ever put. It is committed
// with the state, and survives restarts. The history begins at that time minus the
// retention:
//
//   - Reads as of an earlier time find the newest version of the key, if it was valid
//     then, and nothing else.
//   - A version from an earlier time is refused, and counted as a dropped record.
//
// The newest version of a key is kept for as long as the key is not deleted. Earlier
// versions are deleted at a commit, by segments of half the retention, and of one minute
// at least.
//
// # Changelog
//
// The changelog has a record for each version, as that of Kafka Streams has: the key, the
// value, and the time of the version as the timestamp. It is compacted, and compaction
// keeps the last record of each key. Two things follow:
//
//   - Where an earlier version is logged, the newest one of its key is logged again. The
//     newest version is therefore never lost.
//   - Earlier versions are in the changelog for at least the retention and a day
//     (min.compaction.lag.ms). Brokers measure that against the time of the versions. If
//     the input is older than this, because old records are read again, they may be
//     compacted at once. A store whose disk is lost then has the newest versions only.
//     The page docs/internal-topics.md says how to avoid that.
//
// What package state says about commits, aborts and keys holds here too. Values must not
// be changed in place: the store still has them as earlier versions.
package versionedstore
