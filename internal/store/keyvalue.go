package store

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

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

// NewKeyValue describes a key-value store. Its instances are [Core].
func NewKeyValue[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], o Options) *Typed[K, V] {
	return NewTyped(Spec{Name: name, Kind: KeyValue, Options: o}, ks, vs, openKeyValue[K, V], checkMostRows)
}

// openKeyValue makes the instance for one task.
func openKeyValue[K, V any](t *Typed[K, V], env engine.Env) (engine.Store, error) {
	c := NewCore(t, env, 0)
	if !t.spec.Limited {
		return c, nil
	}
	var err error
	c.used, err = findUsage(t.spec.MostRows, env)
	return c, err
}

func checkMostRows(s *Spec) []error {
	if s.Limited && s.MostRows < 1 {
		return []error{fmt.Errorf("%s: MostRows(%d): at least one row must be kept", s, s.MostRows)}
	}
	return nil
}
