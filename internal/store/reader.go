package store

import (
	"fmt"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Reader reads a global store in one task. The writer of the store is another goroutine:
// a read sees the rows that the writer has applied. Only the task's goroutine may use a
// Reader.
//
// Rows are kept, decoded, until the store changes. Global tables usually change seldom,
// so their rows are seldom decoded.
type Reader[K, V any] struct {
	spec   *Spec
	rows   *engine.Reader
	budget *engine.Budget
	keys   serde.Serde[K]
	values serde.Serde[V]
	noKey  serde.Optional[K] // nil unless keys is Optional

	kept    map[string]kept[V] // by encoded key
	size    int64              // of kept, in bytes
	version uint64             // of the store, to which kept belongs

	key, value []byte // scratch
}

// kept is a row that was read, or says that there is none.
type kept[V any] struct {
	value     V
	timestamp int64
	present   bool
}

func (*Reader[K, V]) ofGlobal() {}

// keptBytes bounds the encoded size of the rows that a Reader keeps decoded, and keptRow
// is the size of a row in addition to its bytes.
const (
	keptBytes = 1 << 20
	keptRow   = 64
)

// GlobalReader is a [Reader] without its types.
type GlobalReader interface {
	processor.Store
	// Close releases the memory of the reader.
	Close() error
}

// OpenReader makes a reader of a store for one task. budget counts the memory of the
// reader, and may be nil.
type OpenReader func(s *Spec, rows *engine.Reader, budget *engine.Budget) GlobalReader

// Reading returns the OpenReader for stores of the given types. It is no part of a
// [Spec]: a program would compile a Reader for each store, and few stores are global.
func Reading[K, V any](ks serde.Serde[K], vs serde.Serde[V]) OpenReader {
	return func(s *Spec, rows *engine.Reader, budget *engine.Budget) GlobalReader {
		r := &Reader[K, V]{spec: s, rows: rows, budget: budget, keys: ks, values: vs, kept: map[string]kept[V]{}}
		r.noKey, _ = ks.(serde.Optional[K])
		return r
	}
}

// Name returns the store's name.
func (r *Reader[K, V]) Name() string { return r.spec.Name }

// StoreName returns the store's name.
func (r *Reader[K, V]) StoreName() string { return r.spec.Name }

// Get returns the row of a key. The value must not be changed.
func (r *Reader[K, V]) Get(key K) (value V, timestamp int64, ok bool, err error) {
	if r.noKey != nil && r.noKey.Absent(key) {
		return value, 0, false, nil
	}
	if r.key, err = r.keys.Append(r.key[:0], key); err != nil {
		return value, 0, false, r.wrap(fmt.Errorf("encode a key: %w", err))
	}
	return r.Row(r.key)
}

// Row is Get for an encoded key.
func (r *Reader[K, V]) Row(key []byte) (value V, timestamp int64, ok bool, err error) {
	row, err := r.load(key)
	return row.value, row.timestamp, row.present, err
}

func (r *Reader[K, V]) load(key []byte) (row kept[V], err error) {
	// The version is read before the row. If the row changes in between, it is read again
	// the next time.
	if version := r.rows.Version(); version != r.version {
		r.forget()
		r.version = version
	}
	if row, ok := r.kept[string(key)]; ok {
		return row, nil
	}
	r.value, row.timestamp, row.present, err = r.rows.Get(r.value[:0], key)
	if err == nil && row.present {
		row.value, err = r.decode(r.value)
	}
	if err != nil {
		return kept[V]{}, err
	}
	r.keep(key, row)
	return row, nil
}

func (r *Reader[K, V]) decode(data []byte) (V, error) {
	value, err := r.values.Decode(data)
	if err != nil {
		return value, r.wrap(fmt.Errorf("decode a value: %w", err))
	}
	return value, nil
}

// keep keeps a row, whose encoded value is r.value.
func (r *Reader[K, V]) keep(key []byte, row kept[V]) {
	size := int64(len(key)+len(r.value)) + keptRow
	if size > keptBytes/16 {
		return
	}
	if r.size+size > keptBytes || r.budget.Crowded() {
		r.forget()
	}
	r.kept[string(key)] = row
	r.size += size
	r.budget.Cache(size)
}

// forget drops all rows.
func (r *Reader[K, V]) forget() {
	if r.size == 0 {
		return
	}
	clear(r.kept)
	r.budget.Cache(-r.size)
	r.size = 0
}

// Close releases the memory of the reader.
func (r *Reader[K, V]) Close() error {
	r.forget()
	return nil
}

// Row is a row of a range read.
type Row[K, V any] struct {
	Key       K
	Value     V
	Timestamp int64
}

// Bounds returns the bounds, for [Reader.Scan], of the rows with from <= key <= to. A nil
// bound is open.
func (r *Reader[K, V]) Bounds(from, to *K) (lower, upper []byte, err error) {
	if from != nil {
		if lower, err = r.keys.Append([]byte{}, *from); err != nil {
			return nil, nil, r.wrap(fmt.Errorf("encode a key: %w", err))
		}
	}
	if to != nil {
		if upper, err = r.keys.Append([]byte{}, *to); err != nil {
			return nil, nil, r.wrap(fmt.Errorf("encode a key: %w", err))
		}
		upper = append(upper, 0) // the smallest key above to
	}
	return lower, upper, nil
}

// Scan yields the rows with lower <= encoded key < upper as they are when the loop
// begins. Nil bounds are open. An error ends the loop.
func (r *Reader[K, V]) Scan(lower, upper []byte, reverse bool) iter.Seq2[Row[K, V], error] {
	return func(yield func(Row[K, V], error) bool) {
		snapshot, err := r.rows.Snapshot()
		if err != nil {
			yield(Row[K, V]{}, r.wrap(err))
			return
		}
		defer snapshot.Close()
		rows, err := snapshot.Scan(r.spec.Name, lower, upper)
		if err != nil {
			yield(Row[K, V]{}, r.wrap(err))
			return
		}
		step := rows.Next
		if reverse {
			step = rows.Prev
		}
		for step() {
			row, err := r.rowOf(rows)
			if !yield(row, err) || err != nil {
				_ = rows.Close() // the loop has its rows, or an error
				return
			}
		}
		if err := rows.Close(); err != nil {
			yield(Row[K, V]{}, r.wrap(err))
		}
	}
}

// rowOf decodes the present row of a scan.
func (r *Reader[K, V]) rowOf(rows *engine.Rows) (row Row[K, V], err error) {
	if row.Key, err = r.keys.Decode(rows.Key()); err != nil {
		return Row[K, V]{}, r.wrap(fmt.Errorf("decode a key: %w", err))
	}
	if row.Value, err = r.decode(rows.Value()); err != nil {
		return Row[K, V]{}, err
	}
	row.Timestamp = rows.Timestamp()
	return row, nil
}

func (r *Reader[K, V]) wrap(err error) error { return fmt.Errorf("global %s: %w", r.spec, err) }
