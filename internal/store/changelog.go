package store

// ChangelogKind is the kind of a store's changelog topic.
type ChangelogKind int

const (
	// NoChangelog: the store has no changelog topic.
	NoChangelog ChangelogKind = iota
	// CompactChangelog keeps the last record of each key.
	CompactChangelog
	// WindowedChangelog keeps the last record of each key. It is trimmed up to
	// engine.DB.LiveFrom.
	WindowedChangelog
	// VersionedChangelog keeps the last record of each key, and all records for at least
	// the retention.
	VersionedChangelog
)

// Changelog describes a store's changelog topic.
type Changelog struct {
	Kind        ChangelogKind
	RetentionMs int64 // how long the store keeps a row; 0 of a CompactChangelog
}

// ChangelogSuffix is how the names of changelog topics end.
const ChangelogSuffix = "-changelog"

// ChangelogTopic returns the full name of a store's changelog topic:
// <application>-<store>-changelog, as in Kafka Streams.
func ChangelogTopic(applicationID, store string) string {
	return applicationID + "-" + store + ChangelogSuffix
}
