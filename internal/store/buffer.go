package store

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Buffer is the kind of the stores in which a table holds updates back. The layout is
// that of a key-value store. Changelog records have the header in which Kafka Streams
// states the version of the format.
var Buffer = &Kind{
	Name:      "buffer",
	Noun:      "buffer",
	Changelog: CompactChangelog,
	Headers:   processor.Headers{{Key: "v", Value: []byte{3}}},
	Migrates:  true,
	logged:    loggedRow,
	restore:   restoreRow,
}

// NewBuffer describes a store in which a table holds updates back.
func NewBuffer[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], o Options) *Typed[K, V] {
	return NewTyped(Spec{Name: name, Kind: Buffer, Options: o}, ks, vs, openBuffer[K, V], nil)
}

// BufferRows is the instance of a store that [NewBuffer] describes.
type BufferRows[K, V any] struct{ *Core[K, V] }

// openBuffer makes the instance for one task. As in Kafka Streams, a commit logs a row at
// most once, even if the application logs each update.
func openBuffer[K, V any](t *Typed[K, V], env engine.Env) (engine.Store, error) {
	env.EveryUpdate = false
	return &BufferRows[K, V]{NewCore(t, env, 0)}, nil
}
