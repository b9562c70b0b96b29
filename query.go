package millrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/query"
	"github.com/millrace-streams/millrace/internal/runtime"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Queryable is what a query can read. These types implement it:
//
//   - a topology.Table that has a store;
//   - a topology.Global, which can be read in any process of the application, whole;
//   - a topology.WindowedTable, whose keys are serde.Windowed;
//   - the spec of a processor's store: a state.Spec, or a windowstore.Spec or
//     sessionstore.Spec, whose keys are serde.Windowed, or a versionedstore.Spec, whose
//     newest versions are read.
//
// A program that has neither the table nor the spec may implement Queryable itself. The
// name and the serdes say what to read. If the serdes are not those of the store with
// that name, queries return an error.
type Queryable[K, V any] interface {
	StoreName() string
	KeySerde() serde.Serde[K]
	ValueSerde() serde.Serde[V]
}

// Row is a row of a table or of a processor's store.
type Row[K, V any] struct {
	Key       K
	Value     V
	Timestamp processor.Timestamp // the timestamp of the last write
	Partition int32               // the partition that has the row; 0 in a global store
}

// ReadOption is an option of [Range], [Prefix], [Windows] and [AllWindows]. A nil option
// has no effect.
type ReadOption func(*readOptions)

type readOptions struct {
	reverse bool
	limit   int
	wrong   error
}

// Reverse yields the rows, and the partitions, in descending order.
func Reverse() ReadOption { return func(o *readOptions) { o.reverse = true } }

// Limit ends the loop after n rows over all partitions. If n is not positive, 0 included,
// the loop yields only an error: a computed limit of 0 is more often a mistake than a
// wish for no rows. For all rows, leave the option out.
func Limit(n int) ReadOption {
	return func(o *readOptions) {
		if o.limit = n; n < 1 {
			o.wrong = fmt.Errorf("Limit(%d): the limit must be positive", n)
		}
	}
}

// ErrNotHere is returned by queries if this process does not hold the partition in
// question, or has not restored it yet. The error's text says which.
var ErrNotHere = query.ErrNotHere

// ErrNoSuchStore is returned by queries if the application's topology has no store for
// the table.
var ErrNoSuchStore = errors.New("no such store in this application")

// Get returns the value of a key, as of the last commit. ok says whether there is one. It
// looks in the same partitions as [GetRow].
func Get[K, V any](ctx context.Context, app *App, table Queryable[K, V], key K) (value V, ok bool, err error) {
	row, ok, err := GetRow(ctx, app, table, key)
	return row.Value, ok, err
}

// GetRow returns the row of a key, as of the last commit. ok says whether there is one.
//
//   - The row of a table is in the partition that Kafka's default partitioner chooses for
//     the key. If this process does not hold that partition, the error is [ErrNotHere].
//     GetRow cannot find rows behind a custom partitioner.
//   - A processor may put any key into the store of any partition, so GetRow looks in all
//     of them. If two partitions have the key, it returns an error that names them. If no
//     partition in this process has the key, and the process does not hold all
//     partitions, the error is [ErrNotHere].
//   - The key of a table or store with windows is a serde.Windowed. Only its key and the
//     start of its window count. If the store retains duplicates, the first row is
//     returned.
func GetRow[K, V any](ctx context.Context, app *App, table Queryable[K, V], key K) (row Row[K, V], ok bool, err error) {
	return getRow(ctx, app, table, key, func(q *asking, hashed, encoded []byte) (query.Row, bool, error) {
		return q.store.Get(ctx, hashed, encoded)
	})
}

// getRow returns the row of a key that get finds.
func getRow[K, V any](ctx context.Context, app *App, table Queryable[K, V], key K, get func(q *asking, hashed, encoded []byte) (query.Row, bool, error)) (row Row[K, V], ok bool, err error) {
	q, err := ask(ctx, app, table)
	if err != nil {
		return row, false, err
	}
	encoded, err := table.KeySerde().Append(nil, key)
	if err != nil {
		return row, false, q.wrap(fmt.Errorf("key: %w", err))
	}
	hashed, err := serde.AppendPartitionKey(nil, table.KeySerde(), key)
	if err != nil {
		return row, false, q.wrap(fmt.Errorf("key: %w", err))
	}
	found, ok, err := get(q, hashed, encoded)
	if err != nil || !ok {
		return row, false, q.wrap(err)
	}
	row, err = decode(table, found)
	return row, err == nil, q.wrap(err)
}

// GetAsOf returns the version of a row that was valid at a time, as of the last commit.
// The row's Timestamp is the time from which that version is valid. ok is false if there
// was no row. Of a time before the history, only the newest version is sure to be found,
// if it was valid then; earlier versions are found until they are deleted.
//
// The table must be made with topology.Versioned, or be a versionedstore.Spec. GetAsOf
// looks in the same partitions as [GetRow].
func GetAsOf[K, V any](ctx context.Context, app *App, table Queryable[K, V], key K, at time.Time) (row Row[K, V], ok bool, err error) {
	return getRow(ctx, app, table, key, func(q *asking, hashed, encoded []byte) (query.Row, bool, error) {
		return q.store.GetAsOf(ctx, hashed, encoded, millis(at))
	})
}

// Range yields the rows with from <= key <= to, as of the last commit of each partition.
// A nil bound is open. If from comes after to, that is an error.
//
// Rows come partition by partition. Within a partition they are in the order of their
// encoded keys, and bounds are compared by their encoding too. For example, serde.Int64
// puts negative numbers after positive ones.
//
// Range covers the partitions that this process holds and has restored. An error ends the
// loop. The caller may leave the loop early, and may take any time for a row. If a
// partition moves away while the loop reads it, the next row has the error [ErrNotHere].
//
// The rows of a table or store with windows are not ordered by key, so Range returns an
// error for them. Use [Windows] or [AllWindows].
func Range[K, V any](ctx context.Context, app *App, table Queryable[K, V], from, to *K, opts ...ReadOption) iter.Seq2[Row[K, V], error] {
	return read(ctx, app, table, opts, func() (r query.Range, err error) {
		if r.From, err = bound(table, "from", from); err != nil {
			return r, err
		}
		if r.To, err = bound(table, "to", to); err != nil {
			return r, err
		}
		if from != nil && to != nil && bytes.Compare(r.From, r.To) > 0 {
			return r, fmt.Errorf("from = %v comes after to = %v in the order of the encoded keys", *from, *to)
		}
		return r, nil
	})
}

// Prefix yields the rows whose encoded keys begin with prefix. The rest is as for
// [Range].
func Prefix[K, V any](ctx context.Context, app *App, table Queryable[K, V], prefix []byte, opts ...ReadOption) iter.Seq2[Row[K, V], error] {
	return read(ctx, app, table, opts, func() (query.Range, error) {
		return query.Range{Prefix: bytes.Clone(prefix)}, nil
	})
}

// Windows yields the rows of one key of a table or store with windows, as of the last
// commit. It yields the windows that start between from and to, both inclusive, in order
// of their start. If from is after to, that is an error.
//
// Of a table or store with sessions, it yields the sessions that share a time with
// from..to, in order of their end.
//
//   - A table has these rows in one partition, as for [GetRow].
//   - A processor's store may have some in each partition. They come partition by
//     partition. If this process does not hold all partitions, the loop ends with
//     [ErrNotHere] after the rows of the partitions that it holds.
//
// Rows are deleted by segment. A segment is an interval of window starts; its length is
// half the retention, but at least a minute. An expired row is yielded until its segment
// is deleted.
func Windows[K, V any](ctx context.Context, app *App, table Queryable[serde.Windowed[K], V], key K, from, to time.Time, opts ...ReadOption) iter.Seq2[Row[serde.Windowed[K], V], error] {
	return read(ctx, app, table, opts, func() (query.Range, error) {
		encoded, err := serde.AppendPartitionKey([]byte{}, table.KeySerde(), serde.Windowed[K]{Key: key})
		if err != nil {
			return query.Range{}, fmt.Errorf("key: %w", err)
		}
		return windowRange(encoded, from, to)
	})
}

// AllWindows yields the rows of all keys of a table or store with windows, as of the last
// commit of each partition. It yields the windows that start between from and to, both
// inclusive. It covers the partitions that this process holds and has restored.
//
// Rows come partition by partition. Within a partition they are ordered by segment (see
// [Windows]), then by their encoded key, then by start. Errors are as for [Range],
// expired rows as for [Windows].
func AllWindows[K, V any](ctx context.Context, app *App, table Queryable[serde.Windowed[K], V], from, to time.Time, opts ...ReadOption) iter.Seq2[Row[serde.Windowed[K], V], error] {
	return read(ctx, app, table, opts, func() (query.Range, error) { return windowRange(nil, from, to) })
}

// bound returns the encoding of a bound, or nil if the bound is open.
func bound[K, V any](table Queryable[K, V], name string, key *K) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	encoded, err := table.KeySerde().Append([]byte{}, *key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return encoded, nil
}

// windowRange returns the range of the windows of a key that start between two times. A
// nil key stands for all keys.
func windowRange(key []byte, from, to time.Time) (query.Range, error) {
	if from.After(to) {
		return query.Range{}, fmt.Errorf("from = %v is after to = %v", from, to)
	}
	// Windows start at whole milliseconds: the first one at from or later starts at from
	// rounded up.
	first := millis(from)
	if from.Nanosecond()%int(time.Millisecond) != 0 && first < maxMillis {
		first++
	}
	return query.Range{Windows: &query.Windows{Key: key, From: first, To: millis(to)}}, nil
}

// maxMillis bounds the times of queries, some 146 million years from now.
const maxMillis = 1 << 62

// millis returns a time in ms since 1970, rounded down, and cut at maxMillis.
func millis(t time.Time) int64 {
	switch {
	case t.Unix() < -1:
		return -1000
	case t.Unix() >= maxMillis/1000:
		return maxMillis
	}
	return t.UnixMilli()
}

// read yields the rows of a range of a table. plan makes the range.
func read[K, V any](ctx context.Context, app *App, table Queryable[K, V], opts []ReadOption, plan func() (query.Range, error)) iter.Seq2[Row[K, V], error] {
	return func(yield func(Row[K, V], error) bool) {
		q, err := ask(ctx, app, table)
		if err != nil {
			yield(Row[K, V]{}, err)
			return
		}
		r, err := q.rangeOf(opts, plan)
		if err != nil {
			yield(Row[K, V]{}, q.wrap(err))
			return
		}
		for found, err := range q.store.Rows(ctx, r) {
			var row Row[K, V]
			if err == nil {
				row, err = decode(table, found)
			}
			if !yield(row, q.wrap(err)) || err != nil {
				return
			}
		}
	}
}

// decode returns a row in the types of a table.
func decode[K, V any](table Queryable[K, V], found query.Row) (row Row[K, V], err error) {
	if row.Key, err = table.KeySerde().Decode(found.Key); err != nil {
		return Row[K, V]{}, fmt.Errorf("partition %d: key: %w", found.Partition, err)
	}
	if row.Value, err = table.ValueSerde().Decode(found.Value); err != nil {
		return Row[K, V]{}, fmt.Errorf("partition %d: value of key %v: %w", found.Partition, row.Key, err)
	}
	row.Timestamp, row.Partition = processor.Timestamp(found.Timestamp), found.Partition
	return row, nil
}

// ask begins a query of a table.
func ask[K, V any](ctx context.Context, app *App, table Queryable[K, V]) (*asking, error) {
	switch {
	case ctx == nil:
		return nil, errors.New("query: the context is nil: pass context.Background()")
	case app == nil:
		return nil, errors.New("query: the App is nil: pass the result of New")
	case table == nil:
		return nil, errors.New("query: the table is nil: pass a table of the topology, or the spec of a store")
	}
	q, err := app.asking(table.StoreName())
	if err != nil {
		return nil, err
	}
	if err := fits(q, table); err != nil {
		return nil, q.wrap(fmt.Errorf("%w: use the table or the spec that belongs to this application's topology", err))
	}
	if state := app.State(); q.run == nil || state >= Closed {
		return nil, q.wrap(fmt.Errorf("%w: the application is %v", ErrNotHere, state))
	}
	q.store.Partitions = 1
	if q.sub != nil {
		q.store.Partitions = q.run.Partitions(q.sub.ID)
	}
	return q, nil
}

// fits reports, as an error, that a table is not the store of its name. Reading that
// store would give nonsense without an error.
func fits[K, V any](q *asking, table Queryable[K, V]) error {
	keys, values := any(table.KeySerde()), any(table.ValueSerde())
	_, windowed := any(*new(K)).(interface{ StartTime() time.Time })
	spec := q.store.Spec
	switch {
	case keys == nil:
		return errors.New("the serde of the keys is nil: pass that of the store")
	case values == nil:
		return errors.New("the serde of the values is nil: pass that of the store")
	case !windowed && spec.Kind.Segmented:
		return errors.New("it has windows: use keys of type serde.Windowed")
	case graph.SameSerde(spec.QueryKeys, keys) && graph.SameSerde(spec.Values, values):
		return nil
	case graph.SameSerde(spec.QueryKeys, keys):
		return fmt.Errorf("its values are %s, not %s", serde.Name(spec.Values), serde.Name(values))
	case windowed && !spec.Kind.Segmented:
		return fmt.Errorf("it has no windows: its keys are %s, not %s", serde.Name(spec.QueryKeys), serde.Name(keys))
	}
	return fmt.Errorf("its keys are %s, not %s", serde.Name(spec.QueryKeys), serde.Name(keys))
}

// asking is a query of one store.
type asking struct {
	run   *runtime.Run
	sub   *graph.SubTopology // nil for a global store, which counts as one partition
	store query.Store
}

// asking begins a query of the store with the given name.
func (a *App) asking(name string) (*asking, error) {
	if name == "" {
		return nil, fmt.Errorf("query: the table has no store: add one with Stored: %w", ErrNoSuchStore)
	}
	if g := a.graph.Global(name); g != nil {
		q := &asking{run: a.run.Load()}
		q.store = query.Store{Spec: g.Store.Spec, ByKey: true, Held: q}
		return q, nil
	}
	for _, sub := range a.graph.SubTopologies {
		for _, s := range sub.Stores {
			if s.Name == name && !s.Own {
				q := &asking{run: a.started(), sub: sub}
				q.store = query.Store{Spec: s.Spec, ByKey: s.ByKey, Held: q}
				return q, nil
			}
		}
	}
	return nil, fmt.Errorf("query of store %s: %w", name, ErrNoSuchStore)
}

// wrap names the store in an error.
func (q *asking) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("query of store %s: %w", q.store.Spec.Name, err)
}

// rangeOf returns the range that plan makes, with the options applied.
func (q *asking) rangeOf(opts []ReadOption, plan func() (query.Range, error)) (query.Range, error) {
	var o readOptions
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	if o.wrong != nil {
		return query.Range{}, o.wrong
	}
	r, err := plan()
	r.Reverse, r.Limit = o.reverse, o.limit
	return r, err
}

// Readable implements query.Held.
func (q *asking) Readable() []int32 {
	if q.sub == nil {
		return []int32{0}
	}
	return q.run.Running(q.sub.ID)
}

// Snapshot implements query.Held.
func (q *asking) Snapshot(partition int32) (*engine.Snapshot, error) {
	if q.sub == nil {
		db, err := q.run.Global(q.store.Spec.Name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrNotHere)
		}
		return db.Snapshot()
	}
	db, restoring := q.run.Committed(q.sub.ID, partition)
	switch {
	case restoring:
		return nil, fmt.Errorf("partition %d is being restored: %w", partition, ErrNotHere)
	case db == nil:
		return nil, fmt.Errorf("partition %d: %w", partition, ErrNotHere)
	}
	return db.Snapshot()
}
