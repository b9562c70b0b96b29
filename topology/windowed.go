package topology

import (
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Windowed is a grouped stream that is divided into windows of time.
//
// A record belongs to every window that contains its timestamp. The operator's stream
// time is the largest timestamp of the records that have reached it, including the
// present one. When stream time minus grace reaches the end of a window, the window is
// closed and takes no more records. Stream time survives restarts.
//
// A late record, for which a window is closed, is dropped and counted as dropped, once
// for each such window. A row has the largest timestamp of its records, and an update of
// it the headers of the last one.
//
// The table of an aggregation sends a row whenever it has changed; see "Updates of
// tables" in the package documentation for the order. [WindowedTable.Final] makes it send
// a row once, when its window is closed.
type Windowed[K, V any] struct {
	g Grouped[K, V]
	w Windows
}

// Window divides the groups into windows of time.
func (g Grouped[K, V]) Window(w Windows) Windowed[K, V] { return Windowed[K, V]{g: g, w: w} }

// Count counts the records of each key and window. Records without a value count too.
// Records without a key are dropped, and counted as dropped. name is the name of the
// table and of its store. The changelog is <app>-<name>-changelog.
func (w Windowed[K, V]) Count(name string, opts ...WindowedTableOption) WindowedTable[K, int64] {
	return aggregateWindows(flowOf(w.g.g), w.w, "count", name, count[K, V], serde.Int64, opts)
}

// Reduce combines the values of each key and window. The first value is stored unchanged.
// Records without a value are dropped, and counted as dropped, unless the value serde is
// Optional. The rest is as for Count.
func (w Windowed[K, V]) Reduce(name string, f func(a, b V) V, opts ...WindowedTableOption) WindowedTable[K, V] {
	t := aggregateWindows(flowOf(w.g.g), w.w, "reduce", name, reduce[K](f), flowOf(w.g.g).values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// TryReduce is Reduce with a function that may fail.
func (w Windowed[K, V]) TryReduce(name string, f func(a, b V) (V, error), opts ...WindowedTableOption) WindowedTable[K, V] {
	t := aggregateWindows(flowOf(w.g.g), w.w, "reduce", name, tryReduce[K](f), flowOf(w.g.g).values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// AggregateWindows folds the records of each key and window into an aggregate, like
// [Aggregate]. add also sees records without a value.
func AggregateWindows[K, V, A any](w Windowed[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) A, as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateWindows(flowOf(w.g.g), w.w, "aggregate", name, fold(initial, add), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	return t
}

// TryAggregateWindows is AggregateWindows with a function that may fail. If add returns
// an error, it must leave the aggregate as it was.
func TryAggregateWindows[K, V, A any](w Windowed[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) (A, error), as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateWindows(flowOf(w.g.g), w.w, "aggregate", name, tryFold(initial, add), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	return t
}
