package conformance

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/windowstore"
)

// grouped is a KGroupedStream of a case; windowed is a TimeWindowedKStream.
type grouped interface {
	folded
	window(w topology.Windows) (folded, error)
	sessions(gap, grace time.Duration, merge reducer) (folded, error)
}

// folded has the aggregations, with or without windows.
type folded interface {
	count(name string, o tableOptions) table
	reduce(name string, f reducer, o tableOptions) table
	aggregate(name string, initial func() any, f aggregator, values *dynamic, o tableOptions) table
	valueSerde() *dynamic // of the records
}

// tableOptions are the options of Materialized.
type tableOptions struct {
	all      []topology.StoreOption
	every    bool // each update is sent
	windowed []topology.WindowedTableOption

	versioned   topology.VersionedOption
	isVersioned bool
}

// stored are the options of the store.
func (o tableOptions) stored() []topology.StoreOption {
	if o.every {
		return append(slices.Clip(o.all), topology.EveryUpdate())
	}
	return o.all
}

func (o tableOptions) plainOnes() (out []topology.TableOption) {
	for _, opt := range o.stored() {
		out = append(out, opt)
	}
	if o.isVersioned {
		out = append(out, o.versioned)
	}
	return out
}

func (o tableOptions) windowedOnes() []topology.WindowedTableOption {
	out := o.windowed
	for _, opt := range o.stored() {
		out = append(out, opt)
	}
	return out
}

// table is a KTable of a case.
type table interface {
	toStream(opts []topology.Option) stream
	filter(p predicate, opts []topology.Option) table
	mapValues(f mapper, values *dynamic, opts []topology.Option) table

	// join joins the rows with those of another table.
	join(other table, kind string, f joiner, values *dynamic, opts []topology.Option) (table, error)
	joinForeign(other table, j foreignJoin) (table, error)

	suppress(name string, s topology.Suppression, o tableOptions) table

	// stored keeps the rows in a store, whose rows content reads.
	stored(name string, o tableOptions) table
	content() storeReader

	// group groups the rows by what f makes of them.
	group(name string, f pairs, keys, values *dynamic, nullKeys *int64) topology.GroupedTable[any, any]

	keySerde() *dynamic
	valueSerde() *dynamic
}

type groupedOf[K any] struct {
	g      topology.Grouped[K, any]
	keys   *dynamic
	values *dynamic
}

// window returns the windowed stream. A windowed key cannot be windowed again: the Go
// type would be infinite.
func (g groupedOf[K]) window(w topology.Windows) (folded, error) {
	plain, ok := any(g).(groupedOf[any])
	if !ok {
		return nil, notYet("windows of windowed keys")
	}
	return windowedOf{plain.g.Window(w), g.keys, g.values}, nil
}

func (g groupedOf[K]) sessions(gap, grace time.Duration, merge reducer) (folded, error) {
	plain, ok := any(g).(groupedOf[any])
	if !ok {
		return nil, notYet("sessions of windowed keys")
	}
	return sessionsOf{plain.g.Sessions(gap).Grace(grace), merge, g.keys, g.values}, nil
}

func (g groupedOf[K]) valueSerde() *dynamic { return g.values }

func (g groupedOf[K]) count(name string, o tableOptions) table {
	return tableOf[K, int64]{g.g.Count(name, o.plainOnes()...), g.keys, basicSerdes["long"]}
}

// reduce may return null, which deletes the row: the serde of the values is Optional.
func (g groupedOf[K]) reduce(name string, f reducer, o tableOptions) table {
	return tableOf[K, any]{g.g.TryReduce(name, f, o.plainOnes()...), g.keys, g.values}
}

func (g groupedOf[K]) aggregate(name string, initial func() any, f aggregator, values *dynamic, o tableOptions) table {
	t := topology.TryAggregate(g.g, name, initial, adding[K](f), serde.Serde[any](values), o.plainOnes()...)
	return tableOf[K, any]{t, g.keys, values}
}

func adding[K any](f aggregator) func(any, processor.Record[K, any]) (any, error) {
	return func(agg any, r processor.Record[K, any]) (any, error) { return f(keyOf(r), r.Value, agg) }
}

type windowedOf struct {
	w      topology.Windowed[any, any]
	keys   *dynamic
	values *dynamic
}

func (w windowedOf) valueSerde() *dynamic { return w.values }

func (w windowedOf) count(name string, o tableOptions) table {
	return windowedTable(w.w.Count(name, o.windowedOnes()...), w.keys, basicSerdes["long"])
}

func (w windowedOf) reduce(name string, f reducer, o tableOptions) table {
	return windowedTable(w.w.TryReduce(name, f, o.windowedOnes()...), w.keys, w.values)
}

func (w windowedOf) aggregate(name string, initial func() any, f aggregator, values *dynamic, o tableOptions) table {
	t := topology.TryAggregateWindows(w.w, name, initial, adding[any](f), serde.Serde[any](values), o.windowedOnes()...)
	return windowedTable(t, w.keys, values)
}

type tableOf[K, V any] struct {
	t      topology.Table[K, V]
	keys   *dynamic
	values *dynamic
}

func (t tableOf[K, V]) toStream(opts []topology.Option) stream {
	return streamOf[K]{anyValues(t.t.Stream(opts...), t.values), t.keys, t.values, false}
}

func (t tableOf[K, V]) content() storeReader {
	return keyValueReader[K, V](t.t.StoreName(), t.keys, t.values)
}

func (t tableOf[K, V]) filter(p predicate, opts []topology.Option) table {
	return tableOf[K, V]{t.t.FilterRecord(func(r processor.Record[K, V]) (bool, error) { return p(r.Key, r.Value) }, opts...), t.keys, t.values}
}

func (t tableOf[K, V]) mapValues(f mapper, values *dynamic, opts []topology.Option) table {
	mapped := func(r processor.Record[K, V]) (any, error) {
		if r.NoValue {
			return f(r.Key, nil)
		}
		return f(r.Key, r.Value)
	}
	return tableOf[K, any]{topology.MapTableRecord(t.t, mapped, serde.Serde[any](values), opts...), t.keys, values}
}

func (t tableOf[K, V]) stored(name string, o tableOptions) table {
	return tableOf[K, V]{t.t.Stored(name, o.plainOnes()...), t.keys, t.values}
}

func (t tableOf[K, V]) suppress(name string, s topology.Suppression, o tableOptions) table {
	return tableOf[K, V]{t.t.Suppress(name, s, o.plainOnes()...), t.keys, t.values}
}

func (t tableOf[K, V]) keySerde() *dynamic   { return t.keys }
func (t tableOf[K, V]) valueSerde() *dynamic { return t.values }

// group turns each row into a pair first, since a function of Kafka Streams makes key and
// value at once. A pair without a value is in no group, and is absent here.
func (t tableOf[K, V]) group(name string, f pairs, keys, values *dynamic, nullKeys *int64) topology.GroupedTable[any, any] {
	rows := topology.MapTableRecord(t.t, func(r processor.Record[K, V]) (any, error) {
		if r.NoValue {
			return nil, nil
		}
		list, err := f(r.Key, r.Value)
		if errors.Is(err, errNullPair) {
			return nil, nil
		}
		if err != nil || list[0].v == nil {
			return nil, err
		}
		return list[0], nil
	}, serde.Serde[any](pairValues{values}), own())
	// The function is called for a row when it is new, and once more when it is old. A
	// row is dropped once.
	dropped := map[string]bool{}
	return topology.GroupTableRecord(rows, name, func(r processor.Record[K, any]) (any, error) {
		key := r.Value.(pair).k
		if of := fmt.Sprint(r.Key); key == nil {
			if dropped[of] = !dropped[of]; dropped[of] {
				*nullKeys++
			}
		}
		return key, nil
	}, serde.Serde[any](keys))
}

// pairValues is a serde of pairs that writes their values only.
type pairValues struct{ values *dynamic }

func (s pairValues) Append(dst []byte, v any) ([]byte, error) {
	return s.values.Append(dst, v.(pair).v)
}
func (s pairValues) Absent(v any) bool { return v == nil }

func (s pairValues) Decode(data []byte) (any, error) {
	v, err := s.values.Decode(data)
	return pair{v: v}, err
}

// unpaired returns the value of a pair, and any other value as it is.
func unpaired(v any) any {
	if p, ok := v.(pair); ok {
		return p.v
	}
	return v
}

// reducedTable is a reduced table of pairs: t has their values.
type reducedTable struct {
	tableOf[any, any]
	pairs topology.Table[any, any]
}

func (t reducedTable) content() storeReader {
	return keyValueReader[any, any](t.pairs.StoreName(), t.keys, t.values)
}

// sessionsOf is a SessionWindowedKStream.
type sessionsOf struct {
	s      topology.Sessions[any, any]
	merge  reducer
	keys   *dynamic
	values *dynamic
}

func (s sessionsOf) valueSerde() *dynamic { return s.values }

func (s sessionsOf) count(name string, o tableOptions) table {
	return sessionTable(s.s.Count(name, o.windowedOnes()...), s.keys, basicSerdes["long"])
}

func (s sessionsOf) reduce(name string, f reducer, o tableOptions) table {
	return sessionTable(s.s.TryReduce(name, f, o.windowedOnes()...), s.keys, s.values)
}

func (s sessionsOf) aggregate(name string, initial func() any, f aggregator, values *dynamic, o tableOptions) table {
	t := topology.TryAggregateSessions(s.s, name, initial, adding[any](f), s.merge, serde.Serde[any](values), o.windowedOnes()...)
	return sessionTable(t, s.keys, values)
}

// windowedTableOf is a table with windows or sessions.
type windowedTableOf[V any] struct {
	t        topology.WindowedTable[any, V]
	windowed *dynamic // serde of the keys with their windows
	values   *dynamic
	rows     storeReader
}

func windowedTable[V any](t topology.WindowedTable[any, V], keys, values *dynamic) table {
	return windowedTableOf[V]{t, timeWindowed(keys, t.Windows().Size()), values, windowReader[V](t.StoreName(), keys, values)}
}

func sessionTable[V any](t topology.WindowedTable[any, V], keys, values *dynamic) table {
	return windowedTableOf[V]{t, sessionWindowed(keys), values, sessionReader[V](t.StoreName(), keys, values)}
}

func (t windowedTableOf[V]) toStream(opts []topology.Option) stream {
	return streamOf[serde.Windowed[any]]{anyValues(t.t.Stream(opts...), t.values), t.windowed, t.values, false}
}

// final is the table with the results of closed windows only.
func (t windowedTableOf[V]) final() table {
	t.t = t.t.Final()
	return t
}

// plain is the table as one whose keys are windowed.
func (t windowedTableOf[V]) plain() tableOf[serde.Windowed[any], V] {
	return tableOf[serde.Windowed[any], V]{t.t.Table, t.windowed, t.values}
}

func (t windowedTableOf[V]) filter(p predicate, opts []topology.Option) table {
	return t.plain().filter(p, opts)
}

func (t windowedTableOf[V]) mapValues(f mapper, values *dynamic, opts []topology.Option) table {
	return t.plain().mapValues(f, values, opts)
}

func (t windowedTableOf[V]) stored(name string, o tableOptions) table {
	return t.plain().stored(name, o)
}
func (t windowedTableOf[V]) suppress(name string, s topology.Suppression, o tableOptions) table {
	return t.plain().suppress(name, s, o)
}
func (t windowedTableOf[V]) valueSerde() *dynamic { return t.values }
func (t windowedTableOf[V]) keySerde() *dynamic   { return t.windowed }

func (t windowedTableOf[V]) group(name string, f pairs, keys, values *dynamic, nullKeys *int64) topology.GroupedTable[any, any] {
	return t.plain().group(name, f, keys, values, nullKeys)
}

func (t windowedTableOf[V]) content() storeReader { return t.rows }

// anyValues converts values of type V to any. A count has such values.
func anyValues[K, V any](s topology.Stream[K, V], values *dynamic) topology.Stream[K, any] {
	if same, ok := any(s).(topology.Stream[K, any]); ok {
		return same
	}
	return topology.MapValues(s, func(v V) any { return v }, serde.Serde[any](values), own())
}

// storeReader reads the rows of a store, in the order of its All.
type storeReader struct {
	name         string
	keys, values *dynamic
	read         func(d *topologytest.Driver) ([]row, error)
}

type row struct {
	key, value any
	at         processor.Timestamp
	windowed   bool
	start, end int64
}

func keyValueReader[K, V any](name string, keys, values *dynamic) storeReader {
	return storeReader{name, keys, values, func(d *topologytest.Driver) (rows []row, err error) {
		for e, err := range topologytest.Store[state.KeyValueStore[K, V]](d, name, 0).All() {
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{key: e.Key, value: unpaired(e.Value), at: e.Timestamp})
		}
		return rows, nil
	}}
}

func windowReader[V any](name string, keys, values *dynamic) storeReader {
	return storeReader{name, keys, values, func(d *topologytest.Driver) (rows []row, err error) {
		for e, err := range topologytest.Store[windowstore.Store[any, V]](d, name, 0).All() {
			if err != nil {
				return nil, err
			}
			rows = append(rows, windowRow(e))
		}
		return rows, nil
	}}
}

func sessionReader[V any](name string, keys, values *dynamic) storeReader {
	return storeReader{name, keys, values, func(d *topologytest.Driver) (rows []row, err error) {
		for e, err := range topologytest.Store[sessionstore.Store[any, V]](d, name, 0).FindAll(0, math.MaxInt64) {
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{key: e.Key, value: e.Value, at: e.Timestamp, windowed: true, start: int64(e.Start), end: int64(e.End)})
		}
		return rows, nil
	}}
}

func windowRow[V any](e windowstore.Entry[any, V]) row {
	return row{key: e.Key, value: e.Value, at: e.Timestamp, windowed: true, start: int64(e.Start), end: int64(e.End)}
}
