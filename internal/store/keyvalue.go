package store

import "github.com/millrace-streams/millrace/internal/engine"

// KeyValue is the kind of the stores of package state. Rows and changelog records have
// the same key: the encoded key.
var KeyValue = &Kind{
	Name:      "key-value",
	Noun:      "store",
	Changelog: CompactChangelog,
	logged:    loggedRow,
	restore:   restoreRow,
}

// restoreRow restores a row whose key is the changelog record's.
func restoreRow(_ *Spec, b *engine.TableBatch, key, value []byte, timestamp int64) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Set(key, timestamp, value)
}
