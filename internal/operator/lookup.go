package operator

import (
	"cmp"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// View is a table whose rows can be looked up. It is a configuration, as those of nodes.
type View[K, V any] interface {
	// Open returns the rows for a node in one task. The node must use the stores that the
	// view reads.
	Open(t graph.Task, how Reading) (Lookup[K, V], error)
}

// Reading says which rows a lookup finds.
type Reading struct {
	// Sent finds the rows as they were last sent to the table's children. If updates are
	// merged, these differ from the newest rows between the first change of a row and the
	// commit. The table must have a child that needs old rows.
	Sent bool

	// Kept says that the reader may keep the values.
	Kept bool
}

// Lookup finds rows of a table by key. encoding is the encoding of the key, or nil if
// unknown. An error of a store is a graph.Final. Any other error comes from a user
// function or a serde. It comes with the row that there is if the error policy skips the
// error: where a function fails, the row is absent.
type Lookup[K, V any] interface {
	Row(key K, encoding []byte) (Row[V], error)
}

// lookupAsOf is a Lookup that also finds the rows as of a time, in a table that keeps
// versions of its rows.
type lookupAsOf[K, V any] interface {
	RowAsOf(key K, encoding []byte, at processor.Timestamp) (Row[V], error)
}

// Row is what a lookup finds. The rest is zero unless Present.
type Row[V any] struct {
	Value     V
	Timestamp processor.Timestamp
	Present   bool
}

// StoredRows are the rows of a table with a key-value store.
type StoredRows[K, V any] struct {
	Store string
	Keys  serde.Serde[K]
}

// Open implements View.
func (v StoredRows[K, V]) Open(t graph.Task, how Reading) (Lookup[K, V], error) {
	s, err := storeOf[cellStore[K, V]](t, v.Store)
	if err != nil {
		return nil, err
	}
	versions, _ := any(s).(versioned[K, V])
	return &storedRows[K, V]{cellReader[K, V]{s.Cells(), how}, keyEncoder[K]{serde: v.Keys}, versions}, nil
}

type storedRows[K, V any] struct {
	cellReader[K, V]
	keys     keyEncoder[K]
	versions versioned[K, V] // nil unless the store keeps versions
}

// RowAsOf implements lookupAsOf.
func (s *storedRows[K, V]) RowAsOf(key K, encoding []byte, at processor.Timestamp) (row Row[V], err error) {
	data, err := s.keys.bytes(encoding, key)
	if err != nil {
		return row, err
	}
	value, from, _, ok, err := s.versions.AsOf(data, key, int64(at))
	if err != nil || !ok {
		return row, graph.Final(err)
	}
	return Row[V]{value, processor.Timestamp(from), true}, nil
}

func (s *storedRows[K, V]) Row(key K, encoding []byte) (Row[V], error) {
	data, err := s.keys.bytes(encoding, key)
	if err != nil {
		return Row[V]{}, err
	}
	return s.row(data, key)
}

// WindowRows are the rows of a table with a window store. Expired rows are found until
// the store deletes them, because the last update of a window may be sent after the
// window has expired.
type WindowRows[K, V any] struct {
	Store string
	Keys  serde.Serde[K] // of the keys without their windows

	// Sessions says that the store has sessions. The timestamp of an update is then the
	// end of the session.
	Sessions bool

	// Final says that only rows of closed windows belong to the table.
	Final bool
}

// windowCells is what a store's instance must be for WindowRows.
type windowCells[K, V any] interface {
	cellStore[K, V]

	// AppendWindow appends the key of the cell of a window.
	AppendWindow(dst, key []byte, w serde.Window) []byte
}

// Open implements View.
func (v WindowRows[K, V]) Open(t graph.Task, how Reading) (Lookup[serde.Windowed[K], V], error) {
	s, err := storeOf[windowCells[K, V]](t, v.Store)
	if err != nil {
		return nil, err
	}
	how.Sent = how.Sent && !v.Final
	rows := &windowRows[K, V]{cellReader[K, V]{s.Cells(), how}, s, keyEncoder[K]{serde: v.Keys}, v.Sessions, nil}
	if v.Final {
		return closedOnly(t, v.Store, rows), nil
	}
	return rows, nil
}

type windowRows[K, V any] struct {
	cellReader[K, V]
	store    windowCells[K, V]
	keys     keyEncoder[K]
	sessions bool
	rowKey   []byte // scratch
}

func (w *windowRows[K, V]) Row(key serde.Windowed[K], _ []byte) (Row[V], error) {
	data, err := w.keys.encode(key.Key)
	if err != nil {
		return Row[V]{}, err
	}
	w.rowKey = w.store.AppendWindow(w.rowKey[:0], data, key.Window)
	row, err := w.row(w.rowKey, key.Key)
	if w.sessions && row.Present {
		row.Timestamp = processor.Timestamp(key.Window.End)
	}
	return row, err
}

// cellReader reads the cells of a store. K is the type of the keys in the store.
type cellReader[K, V any] struct {
	cells *engine.Cells[K, V]
	how   Reading
}

func (r *cellReader[K, V]) row(cellKey []byte, key K) (row Row[V], err error) {
	cell, err := r.cells.Load(cellKey, key)
	if err != nil {
		return row, graph.Final(err)
	}
	at := cell.Timestamp
	switch {
	case r.how.Sent:
		if row.Value, at, row.Present, err = r.cells.Sent(cell); err != nil {
			return Row[V]{}, graph.Final(err)
		}
	case !cell.Present, r.cells.Lifetimes().Expired(cell.Timestamp):
	case r.how.Kept:
		row.Value, row.Present = cell.Lend(), true
	default:
		row.Value, row.Present = cell.Value, true
	}
	if row.Present {
		row.Timestamp = processor.Timestamp(at)
	}
	return row, nil
}

// FilteredRows are the rows of a table for which Keep returns true; see TableFilter.
type FilteredRows[K, V any] struct {
	Of   View[K, V]
	Keep func(*graph.Record[K, V]) (bool, error)
}

// Open implements View.
func (v FilteredRows[K, V]) Open(t graph.Task, how Reading) (Lookup[K, V], error) {
	of, err := v.Of.Open(t, how)
	return &filteredRows[K, V]{of: of, keep: v.Keep}, err
}

type filteredRows[K, V any] struct {
	of   Lookup[K, V]
	keep func(*graph.Record[K, V]) (bool, error)
	in   graph.Record[K, V] // scratch
}

func (f *filteredRows[K, V]) Row(key K, encoding []byte) (Row[V], error) {
	row, err := f.of.Row(key, encoding)
	return f.filter(key, encoding, row, err)
}

// RowAsOf implements lookupAsOf.
func (f *filteredRows[K, V]) RowAsOf(key K, encoding []byte, at processor.Timestamp) (Row[V], error) {
	row, err := rowAsOf(f.of, key, encoding, at)
	return f.filter(key, encoding, row, err)
}

func (f *filteredRows[K, V]) filter(key K, encoding []byte, row Row[V], err error) (Row[V], error) {
	if graph.IsFinal(err) || !row.Present {
		return row, err
	}
	setFound(&f.in, key, encoding, row)
	if keep, failed := f.call(); failed != nil || !keep {
		return Row[V]{}, cmp.Or(err, failed)
	}
	return row, err
}

func (f *filteredRows[K, V]) call() (keep bool, err error) {
	defer graph.Guard(&err)
	return f.keep(&f.in)
}

// MappedRows are the rows of a table with other values; see TableMapValues.
type MappedRows[K, V, V2 any] struct {
	Of View[K, V]
	TableMapValues[K, V, V2]
}

// Open implements View.
func (v MappedRows[K, V, V2]) Open(t graph.Task, how Reading) (Lookup[K, V2], error) {
	of, err := v.Of.Open(t, how)
	return &mappedRows[K, V, V2]{of: of, convert: v.Convert, absentToo: absenceOf(v.In).expressible(), values: absenceOf(v.Out)}, err
}

type mappedRows[K, V, V2 any] struct {
	of        Lookup[K, V]
	convert   func(*graph.Record[K, V]) (V2, error)
	absentToo bool // call convert for absent rows
	values    absence[V2]
	in        graph.Record[K, V] // scratch
}

func (m *mappedRows[K, V, V2]) Row(key K, encoding []byte) (Row[V2], error) {
	row, err := m.of.Row(key, encoding)
	return m.mapRow(key, encoding, row, err)
}

// RowAsOf implements lookupAsOf.
func (m *mappedRows[K, V, V2]) RowAsOf(key K, encoding []byte, at processor.Timestamp) (Row[V2], error) {
	row, err := rowAsOf(m.of, key, encoding, at)
	return m.mapRow(key, encoding, row, err)
}

func (m *mappedRows[K, V, V2]) mapRow(key K, encoding []byte, row Row[V], err error) (Row[V2], error) {
	if graph.IsFinal(err) || !row.Present && !m.absentToo {
		return Row[V2]{}, err
	}
	setFound(&m.in, key, encoding, row)
	value, failed := m.call()
	if failed != nil || m.values.is(value) {
		return Row[V2]{}, cmp.Or(err, failed)
	}
	return Row[V2]{value, row.Timestamp, true}, err
}

func (m *mappedRows[K, V, V2]) call() (value V2, err error) {
	defer graph.Guard(&err)
	return m.convert(&m.in)
}

// setFound makes a record of a row that was looked up. It has no headers.
func setFound[K, V any](r *graph.Record[K, V], key K, encoding []byte, row Row[V]) {
	r.Key, r.KeyBytes = key, encoding
	r.Value, r.NoValue, r.Timestamp = row.Value, !row.Present, row.Timestamp
}

// rowAsOf looks a row up as of a time. Only views of tables that keep versions are asked.
func rowAsOf[K, V any](in Lookup[K, V], key K, encoding []byte, at processor.Timestamp) (Row[V], error) {
	past, ok := in.(lookupAsOf[K, V])
	if !ok {
		return Row[V]{}, graph.Final(fmt.Errorf("%T has no rows of the past", in))
	}
	return past.RowAsOf(key, encoding, at)
}
