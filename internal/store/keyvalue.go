package store

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// KeyValue is the kind of the stores of package state. Rows and changelog records have
// the same key: the encoded key.
var KeyValue = &Kind{
	Name:      "key-value",
	Noun:      "store",
	Changelog: CompactChangelog,
	Migrates:  true,
	logged:    loggedRow,
	restore:   restoreRow,
}

// ExpiredRow is the reason with which a put of a row that has expired already is counted
// as dropped.
const ExpiredRow = "expired row"

// restoreRow restores a row whose key is the changelog record's.
func restoreRow(s *Spec, b *engine.TableBatch, key []byte, row engine.Stored) error {
	if row.Value == nil {
		return b.Delete(key)
	}
	if s.Mortal {
		if err := b.IndexLifetime(key, row.Timestamp); err != nil {
			return err
		}
	}
	return b.Put(key, row)
}

// Prepare makes a table fit the spec, before rows are restored into it. An earlier
// version of the program may have filled the table with other options.
func (s *Spec) Prepare(table *engine.Table) error {
	if s.Kind != KeyValue {
		return nil
	}
	return table.IndexLifetimes(s.TTL.Milliseconds())
}

// NewKeyValue describes a key-value store. Its instances are [Core].
func NewKeyValue[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], o Options) *Typed[K, V] {
	return NewTyped(Spec{Name: name, Kind: KeyValue, Options: o}, ks, vs, openKeyValue[K, V], checkKeyValue)
}

// openKeyValue makes the instance for one task.
func openKeyValue[K, V any](t *Typed[K, V], env engine.Env) (engine.Store, error) {
	if err := t.spec.Prepare(env.Table); err != nil {
		return nil, err
	}
	c := NewCore(t, env, 0)
	if t.spec.Mortal {
		lives, err := engine.NewLifetimes(env, t.spec.TTL.Milliseconds())
		if err != nil {
			return nil, err
		}
		c.cells.SetLifetimes(lives)
	}
	if !t.spec.Limited {
		return c, nil
	}
	var err error
	c.used, err = findUsage(t.spec.MostRows, env)
	return c, err
}

func checkKeyValue(s *Spec) (errs []error) {
	if s.Limited && s.MostRows < 1 {
		errs = append(errs, fmt.Errorf("%s: MostRows(%d): at least one row must be kept", s, s.MostRows))
	}
	switch {
	case !s.Mortal:
	case s.TTL <= 0:
		errs = append(errs, fmt.Errorf("%s: TTL(%v): the time to live must be positive", s, s.TTL))
	case s.TTL%time.Millisecond != 0:
		errs = append(errs, fmt.Errorf("%s: TTL(%v): the time to live must be a whole number of milliseconds", s, s.TTL))
	}
	return errs
}
