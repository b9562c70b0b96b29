package millrace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/runtime"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// Queryable is a table that can be queried: topology.Table, and topology.WindowedTable,
// whose keys are serde.Windowed. Its serdes must be those of the store of its name, else
// the query is an error.
type Queryable[K, V any] interface {
	StoreName() string
	KeySerde() serde.Serde[K]
	ValueSerde() serde.Serde[V]
}

// Row is a row of a table.
type Row[K, V any] struct {
	Key   K
	Value V
}

// ErrNotHere is returned by queries when this process does not hold the partition that
// was asked for, or holds it but has not restored it yet. The error's text says which.
var ErrNotHere = errors.New("not held by this process")

// ErrNoSuchStore is returned by queries for a table whose store the application's
// topology does not have.
var ErrNoSuchStore = errors.New("no such store in this application")

// Get returns the row of a table with the key, as of the last commit, and whether there
// is one. The key must be in a partition that this process holds, else the error is
// [ErrNotHere]; it is looked for where Kafka's default partitioner puts it, so tables
// behind a partitioner of their own are out of reach. The key of a windowed table is a
// serde.Windowed, of which only the key and the window's start count.
func Get[K, V any](ctx context.Context, app *App, table Queryable[K, V], key K) (value V, ok bool, err error) {
	q, err := ask(app, table)
	if err != nil {
		return value, false, err
	}
	row, err := table.KeySerde().Append(nil, key)
	if err != nil {
		return value, false, q.wrap(fmt.Errorf("key: %w", err))
	}
	hashed, err := serde.AppendPartitionKey(nil, table.KeySerde(), key)
	if err != nil {
		return value, false, q.wrap(fmt.Errorf("key: %w", err))
	}
	partition := serde.Partition(hashed, q.partitions)
	if err := q.settle(partition); err != nil {
		return value, false, q.wrap(err)
	}
	if row, err = q.rowKey(row); err != nil {
		return value, false, q.wrap(err)
	}
	data, ok, err := q.get(ctx, partition, row)
	if err != nil || !ok {
		return value, false, q.wrap(err)
	}
	value, err = table.ValueSerde().Decode(data)
	return value, err == nil, q.wrap(err)
}

// Range yields the rows of a table with from <= key <= to, in order of key bytes within a
// partition, and partition after partition, as of the last commit of each. A nil bound is
// open. The rows of a windowed table have no such order, so that it is an error to ask
// for them; see [Windows]. It covers the partitions that this process holds and has
// restored. An error ends it. Breaking off the loop is allowed. A loop may take its time:
// when a partition moves away while it is being read, the next row is [ErrNotHere].
func Range[K, V any](ctx context.Context, app *App, table Queryable[K, V], from, to *K) iter.Seq2[Row[K, V], error] {
	return func(yield func(Row[K, V], error) bool) {
		q, err := ask(app, table)
		if err == nil && q.layout != nil {
			err = q.wrap(errors.New("the rows of a windowed table have no order of keys: use Windows"))
		}
		var lower, upper []byte
		if err == nil && from != nil {
			lower, err = table.KeySerde().Append(nil, *from)
		}
		if err == nil && to != nil {
			upper, err = table.KeySerde().Append(nil, *to)
			upper = append(upper, 0)
		}
		if err != nil {
			yield(Row[K, V]{}, err)
			return
		}
		for _, partition := range q.here() {
			if !scan(ctx, q, table, partition, lower, upper, nil, yield) {
				return
			}
		}
	}
}

// Windows yields the rows of one key of a windowed table whose windows start between from
// and to, both inclusive, in order of their start, as of the last commit. The key must be
// in a partition that this process holds, as with [Get].
func Windows[K, V any](ctx context.Context, app *App, table topology.WindowedTable[K, V], key K, from, to time.Time) iter.Seq2[Row[serde.Windowed[K], V], error] {
	return func(yield func(Row[serde.Windowed[K], V], error) bool) {
		fail := func(err error) { yield(Row[serde.Windowed[K], V]{}, err) }
		q, err := ask(app, table)
		if err != nil {
			fail(err)
			return
		}
		keyBytes, err := serde.AppendPartitionKey(nil, table.KeySerde(), serde.Windowed[K]{Key: key})
		if err != nil {
			fail(q.wrap(fmt.Errorf("key: %w", err)))
			return
		}
		partition := serde.Partition(keyBytes, q.partitions)
		mine := func(local []byte) bool {
			k, _, _, ok := store.SplitLocal(local)
			return ok && string(k) == string(keyBytes)
		}
		if err := q.settle(partition); err != nil {
			fail(q.wrap(err))
			return
		}
		// Windows start at whole milliseconds: the first one at from or later starts at from
		// rounded up.
		earliest, latest := from.Add(time.Millisecond-1).UnixMilli(), to.UnixMilli()
		first, last := q.layout.Segments(earliest, latest)
		segments, err := q.segments(ctx, partition, first, last)
		if err != nil {
			fail(q.wrap(err))
			return
		}
		for _, segment := range segments {
			lower, upper := q.layout.KeyBounds(segment, keyBytes, earliest, latest)
			if !scan(ctx, q, table, partition, lower, upper, mine, yield) {
				return
			}
		}
	}
}

// scan yields rows of one partition. It reports whether to go on.
func scan[K, V any](ctx context.Context, q *query, table Queryable[K, V], partition int32, lower, upper []byte, want func(key []byte) bool, yield func(Row[K, V], error) bool) bool {
	fail := func(err error) bool {
		yield(Row[K, V]{}, q.wrap(err))
		return false
	}
	snapshot, err := q.snapshot(partition)
	if err != nil {
		return fail(err)
	}
	defer snapshot.Close()
	rows, err := snapshot.Scan(q.store, lower, upper)
	if err != nil {
		return fail(err)
	}
	for err = ctx.Err(); err == nil && rows.Next(); err = ctx.Err() {
		if want != nil && !want(rows.Key()) {
			continue
		}
		var row Row[K, V]
		if row.Key, err = table.KeySerde().Decode(q.keyOf(rows.Key())); err != nil {
			break
		}
		if row.Value, err = table.ValueSerde().Decode(rows.Value()); err != nil {
			break
		}
		if !yield(row, nil) {
			rows.Close()
			return false
		}
	}
	if closing := rows.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fail(err)
	}
	return true
}

// ask begins a query of a table.
func ask[K, V any](app *App, table Queryable[K, V]) (*query, error) {
	q, err := app.query(table.StoreName())
	if err != nil {
		return nil, err
	}
	if err := fits(q, table); err != nil {
		return nil, fmt.Errorf("query of store %s: %w: use the handle that belongs to this application's topology", q.store, err)
	}
	if state := app.State(); q.run == nil || state >= Closed {
		return nil, q.wrap(fmt.Errorf("%w: the application is %v", ErrNotHere, state))
	}
	q.partitions = q.run.Partitions(q.sub.ID)
	return q, nil
}

// fits returns what makes a table another one than the store of its name: reading that
// would give nonsense without an error.
func fits[K, V any](q *query, table Queryable[K, V]) error {
	_, windowed := any(*new(K)).(interface{ StartTime() time.Time })
	switch {
	case windowed && q.layout == nil:
		return errors.New("it is no windowed table")
	case !windowed && q.layout != nil:
		return errors.New("it is a windowed table, with keys of type serde.Windowed")
	}
	keys, values := any(table.KeySerde()), any(table.ValueSerde())
	if w, ok := keys.(interface{ Inner() any }); ok && windowed {
		keys = w.Inner()
	}
	switch {
	case q.keys != nil && !graph.SameSerde(q.keys, keys):
		return fmt.Errorf("its keys are %s, not %s", serde.Name(q.keys), serde.Name(keys))
	case q.values != nil && !graph.SameSerde(q.values, values):
		return fmt.Errorf("its values are %s, not %s", serde.Name(q.values), serde.Name(values))
	}
	return nil
}

// query is a query of one store.
type query struct {
	run        *runtime.Run
	store      string
	sub        *graph.SubTopology
	partitions int32
	layout     *store.WindowLayout // of a window store
	keys       any                 // the serde of the store's keys, without windows; nil when not known
	values     any
}

func (a *App) query(name string) (*query, error) {
	for _, sub := range a.graph.SubTopologies {
		for _, s := range sub.Stores {
			if s.Name != name {
				continue
			}
			q := &query{run: a.started(), store: name, sub: sub}
			if s.Spec.Kind.Segmented {
				q.layout = &store.WindowLayout{Interval: s.Spec.Segments()}
			}
			q.keys, q.values = s.Spec.Keys, s.Spec.Values
			return q, nil
		}
	}
	return nil, fmt.Errorf("store %s: %w", name, ErrNoSuchStore)
}

func (q *query) wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, engine.ErrClosed) {
		err = fmt.Errorf("the partition has just moved away: %w", ErrNotHere)
	}
	return fmt.Errorf("query of store %s: %w", q.store, err)
}

// settle takes the layout of the rows from the partition itself: an earlier version of
// the program may have chosen it.
func (q *query) settle(partition int32) error {
	if q.layout == nil {
		return nil
	}
	snapshot, err := q.snapshot(partition)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	if interval := snapshot.Interval(q.store); interval > 0 {
		q.layout = &store.WindowLayout{Interval: interval}
	}
	return nil
}

// rowKey turns an encoded key into that of the row.
func (q *query) rowKey(key []byte) ([]byte, error) {
	if q.layout == nil {
		return key, nil
	}
	return q.layout.AppendLocal(nil, binary.BigEndian.AppendUint32(key, 0))
}

// keyOf turns a row's key into an encoded key.
func (q *query) keyOf(row []byte) []byte {
	if q.layout == nil {
		return row
	}
	const sequence = 4
	return row[store.WindowLogFrom : len(row)-sequence]
}

func (q *query) get(ctx context.Context, partition int32, key []byte) ([]byte, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	snapshot, err := q.snapshot(partition)
	if err != nil {
		return nil, false, err
	}
	defer snapshot.Close()
	value, _, ok, err := snapshot.Get(q.store, key)
	return value, ok, err
}

// snapshot returns the committed state of the store's partition.
func (q *query) snapshot(partition int32) (*engine.Snapshot, error) {
	db, restoring := q.run.Committed(q.sub.ID, partition)
	switch {
	case restoring:
		return nil, fmt.Errorf("partition %d is being restored: %w", partition, ErrNotHere)
	case db == nil:
		return nil, fmt.Errorf("partition %d: %w", partition, ErrNotHere)
	}
	return db.Snapshot()
}

// here are the partitions that can be read, in order.
func (q *query) here() []int32 { return q.run.Running(q.sub.ID) }

// segments are the segments between first and last that have rows.
func (q *query) segments(ctx context.Context, partition int32, first, last int64) ([]int64, error) {
	snapshot, err := q.snapshot(partition)
	if err != nil {
		return nil, err
	}
	defer snapshot.Close()
	var segments []int64
	for first <= last && ctx.Err() == nil {
		rows, err := snapshot.Scan(q.store, binary.BigEndian.AppendUint64(nil, uint64(first)), binary.BigEndian.AppendUint64(nil, uint64(last+1)))
		if err != nil {
			return nil, err
		}
		found := rows.Next()
		if found {
			segment := int64(binary.BigEndian.Uint64(rows.Key()))
			segments, first = append(segments, segment), segment+1
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
		if !found {
			break
		}
	}
	return segments, ctx.Err()
}
