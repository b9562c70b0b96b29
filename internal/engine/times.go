package engine

import (
	"bytes"
	"errors"
	"fmt"
)

// TimesStore is the spec of the store in which a task keeps its operator times and positions when they are too many for the metadata of its offsets. It has
// one row, and a compacted changelog like other stores, so whoever makes topics and restores stores need not know about it.
type TimesStore struct{ Name string }

var _ Spec = TimesStore{}

// StoreName returns the name, from which the changelog's follows.
func (s TimesStore) StoreName() string { return s.Name }

// Changelog says that there is a compacted one.
func (TimesStore) Changelog() Changelog { return Changelog{Kind: CompactChangelog} }

// Persistent returns true.
func (TimesStore) Persistent() bool { return true }

// Open returns a *Times.
func (s TimesStore) Open(env Env) (Store, error) {
	if env.Log == nil {
		return nil, errors.New("the store of operator times needs its changelog")
	}
	return &Times{name: s.Name, env: env}, nil
}

// CheckKey implements Spec. There is one key.
func (TimesStore) CheckKey(key []byte) error {
	if !bytes.Equal(key, timesKey) {
		return fmt.Errorf("%w: its key is %q, not %q", ErrForeignRow, key, timesKey)
	}
	return nil
}

// Restore sets the row.
func (TimesStore) Restore(b *TableBatch, key, value []byte, timestamp int64) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Set(key, timestamp, value)
}

// timesKey is the key of the row.
var timesKey = []byte("times")

// Times is the instance of a [TimesStore].
type Times struct {
	name string
	env  Env
	row  []byte
}

// StoreName implements Store.
func (t *Times) StoreName() string { return t.name }

// Get returns the committed row, nil if there is none. It belongs to the caller.
func (t *Times) Get() ([]byte, error) {
	value, _, ok, err := t.env.Table.Get(timesKey)
	if err != nil || !ok {
		return nil, err
	}
	return append([]byte{}, value...), nil
}

// Put sets the row; it must not be changed afterwards.
func (t *Times) Put(row []byte) { t.row = row }

// Flush implements Store.
func (t *Times) Flush(b *TableBatch) error {
	if t.row == nil {
		return nil
	}
	at := t.env.Now()
	if err := t.env.Log(timesKey, t.row, at, &Origin{}); err != nil {
		return err
	}
	row := t.row
	t.row = nil
	return b.Set(timesKey, at, row)
}

// Committed implements Store.
func (*Times) Committed() {}

// Trim implements Store.
func (*Times) Trim() {}

// Close implements Store.
func (*Times) Close() error { return nil }
