package store

import (
	"fmt"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
)

// OfTable is the store of a table, as a processor gets it from its context: for reading
// only. A write would change a row without an update to the children of the table.
type OfTable struct{ Instance processor.Store }

// Name returns the store's name.
func (t OfTable) Name() string { return t.Instance.Name() }

// OpenTable returns the instance of a table's store, for a processor. A mistake in the
// program makes it panic with an error, which fails the processor's Init.
func OpenTable[K, V any](ctx processor.Context[K, V], table processor.StoreSpec) processor.Store {
	name := table.StoreName()
	if name == "" {
		panic(fmt.Errorf("open the store of a table: the table has none: call Stored on it, and use the table that Stored returns"))
	}
	s, err := ctx.Store(name)
	if err != nil {
		panic(fmt.Errorf("open the store of table %s: %w", name, err))
	}
	switch s := s.(type) {
	case OfTable:
		return s.Instance
	case globalReader:
		panic(fmt.Errorf("open the store of table %s: it is a global store: open it with state.OpenGlobal", name))
	}
	panic(fmt.Errorf("open the store of table %s: the processor was given a store of its own with this name, and not a table: open it with Open", name))
}

// globalReader is a [Reader], whatever its types.
type globalReader interface{ ofGlobal() }

// OtherTable returns the error of a processor that opens a table with the function of
// another kind of store.
func OtherTable(table processor.StoreSpec) error {
	return fmt.Errorf("open the store of table %s: it is a store of another kind, or with other types: use windowstore.OpenTable for windows, sessionstore.OpenTable "+
		"for sessions, versionedstore.OpenTable for earlier versions, and state.OpenTable for all other tables, with the types of the table", table.StoreName())
}

// TableRows reads the rows of a table with a key-value store or a versioned store, in a
// processor of the same task. It finds the newest rows.
type TableRows[K, V any] struct{ core *Core[K, V] }

// TableRowsOf returns the rows of the instance of a table's store. ok is false if the
// store has other types or is of another kind.
func TableRowsOf[K, V any](instance processor.Store) (rows *TableRows[K, V], ok bool) {
	switch s := instance.(type) {
	case *Core[K, V]:
		return &TableRows[K, V]{s}, true
	case *Versions[K, V]:
		return &TableRows[K, V]{s.Core()}, true
	}
	return nil, false
}

// Name returns the store's name.
func (r *TableRows[K, V]) Name() string { return r.core.Name() }

// Get returns the row of a key.
func (r *TableRows[K, V]) Get(key K) (value V, timestamp int64, ok bool, err error) {
	if r.core.noKey != nil && r.core.noKey.Absent(key) {
		return value, 0, false, nil
	}
	b, err := r.core.Encode(key)
	if err != nil {
		return value, 0, false, err
	}
	cell, err := r.core.cells.Load(b, key)
	if err != nil || !cell.Present || r.core.cells.Lifetimes().Expired(cell.Timestamp) {
		return value, 0, false, err
	}
	return cell.Lend(), cell.Timestamp, true, nil
}

// Bounds returns the bounds, for Scan, of the rows with from <= key <= to. A nil bound is
// open.
func (r *TableRows[K, V]) Bounds(from, to *K) (lower, upper []byte, err error) {
	return Bounds(r.core, from, to)
}

// Scan yields the rows with lower <= encoded key < upper. Nil bounds are open. An error
// ends the loop.
func (r *TableRows[K, V]) Scan(lower, upper []byte, reverse bool) iter.Seq2[Row[K, V], error] {
	return func(yield func(Row[K, V], error) bool) {
		for row, err := range r.core.cells.Range(lower, upper, reverse) {
			if err == nil && r.core.cells.Lifetimes().Expired(row.Timestamp) {
				continue
			}
			out, err := r.row(row, err)
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

func (r *TableRows[K, V]) row(row engine.Row[K, V], err error) (Row[K, V], error) {
	if err != nil {
		return Row[K, V]{}, err
	}
	key, err := r.core.Decode(row.KeyBytes)
	if err != nil {
		return Row[K, V]{}, err
	}
	return Row[K, V]{key, row.Lend(), row.Timestamp}, nil
}
