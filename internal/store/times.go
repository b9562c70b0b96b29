package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Times is the kind of the store in which a task keeps its operator times and positions
// when they are too many for the metadata of its offsets. The store has one row, and a
// compacted changelog like others, so nothing but the task has to know about it.
var Times = &Kind{
	Name:      "times",
	Noun:      "store",
	Changelog: CompactChangelog,
	Own:       true,
	logged:    loggedTimes,
	restore:   restoreRow,
}

// loggedTimes is Kind.logged: there is one key.
func loggedTimes(_ *Spec, changelogKey []byte) ([]byte, error) {
	if !bytes.Equal(changelogKey, timesKey) {
		return nil, fmt.Errorf("%w: its key is %q, not %q", ErrForeignRow, changelogKey, timesKey)
	}
	return changelogKey, nil
}

// TimesSpec returns the spec of a store of operator times.
func TimesSpec(name string) *Spec {
	return NewUntyped(Spec{Name: name, Kind: Times}, func(env engine.Env) (engine.Store, error) {
		if env.Log == nil {
			return nil, errors.New("the store of operator times needs its changelog")
		}
		return &OperatorTimes{name: name, env: env}, nil
	})
}

// timesKey is the key of the row.
var timesKey = []byte("times")

// OperatorTimes is the instance of a store of the kind [Times].
type OperatorTimes struct {
	name string
	env  engine.Env
	row  []byte
}

// StoreName implements engine.Store.
func (t *OperatorTimes) StoreName() string { return t.name }

// Get returns the committed row, nil if there is none. It belongs to the caller.
func (t *OperatorTimes) Get() ([]byte, error) {
	row, ok, err := t.env.Table.Get(timesKey)
	if err != nil || !ok {
		return nil, err
	}
	return append([]byte{}, row.Value...), nil
}

// Put sets the row; it must not be changed afterwards.
func (t *OperatorTimes) Put(row []byte) { t.row = row }

// Flush implements engine.Store.
func (t *OperatorTimes) Flush(b *engine.TableBatch) error {
	if t.row == nil {
		return nil
	}
	at := t.env.Now()
	if err := t.env.Log(timesKey, t.row, at, &engine.Origin{}); err != nil {
		return err
	}
	row := t.row
	t.row = nil
	return b.Set(timesKey, at, row)
}

// Committed implements engine.Store.
func (*OperatorTimes) Committed() {}

// Trim implements engine.Store.
func (*OperatorTimes) Trim() {}

// Close implements engine.Store.
func (*OperatorTimes) Close() error { return nil }
