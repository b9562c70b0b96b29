package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Windowed is a grouped stream that is cut into windows of time.
//
// A record belongs to every window that its timestamp lies in. The operator's stream time is the largest timestamp of a record that reached it,
// the present one included; a window whose end lies at or before stream time minus grace is closed, and takes no more records. Stream time
// survives restarts.
type Windowed[K, V any] struct {
	g Grouped[K, V]
	w Windows
}

// Window cuts the groups into windows of time.
func (g Grouped[K, V]) Window(w Windows) Windowed[K, V] { return Windowed[K, V]{g: g, w: w} }

// Count counts the records of each key and window; records without a value count too. Records without a key are dropped, and counted as
// dropped. name is the name of the table and of its store; the changelog is <app>-<name>-changelog.
func (w Windowed[K, V]) Count(name string, opts ...WindowedTableOption) WindowedTable[K, int64] {
	return aggregateWindows(w, "count", name, count[K, V], serde.Int64, opts)
}

// Reduce combines the values of each key and window. The first value is stored as it is. Records without a value are dropped, and
// counted as dropped, unless the value serde is Optional. Otherwise it is like Count.
func (w Windowed[K, V]) Reduce(name string, f func(a, b V) V, opts ...WindowedTableOption) WindowedTable[K, V] {
	t := aggregateWindows(w, "reduce", name, reduce[K](f), w.g.stream().values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// TryReduce is Reduce with a function that may fail.
func (w Windowed[K, V]) TryReduce(name string, f func(a, b V) (V, error), opts ...WindowedTableOption) WindowedTable[K, V] {
	t := aggregateWindows(w, "reduce", name, tryReduce[K](f), w.g.stream().values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// AggregateWindows folds the records of each key and window into an aggregate, as [Aggregate] does. add sees records without a value too.
func AggregateWindows[K, V, A any](w Windowed[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) A, as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateWindows(w, "aggregate", name, fold(initial, add), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	return t
}

// TryAggregateWindows is AggregateWindows with a function that may fail. After an error the aggregate must be as it was.
func TryAggregateWindows[K, V, A any](w Windowed[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) (A, error), as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateWindows(w, "aggregate", name, tryFold(initial, add), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	return t
}

func aggregateWindows[K, V, A any](w Windowed[K, V], op, name string, add adder[K, V, A], as serde.Serde[A], opts []WindowedTableOption) WindowedTable[K, A] {
	s := w.g.stream()
	var o tableOptions
	for _, opt := range withoutNil(opts) {
		opt.applyWindowedTable(&o)
	}
	n := s.b.add(&node{kind: graph.Processor, op: op, keyed: true}, name, s.n)
	s.b.checkTable(n, name, s.keys, as)
	possible := s.b.checkWindows(n, w.w, o)
	span, everyUpdate := w.w.span(), o.everyUpdate
	dropAbsent := op == "reduce" && !absenceOf(s.values).expressible()
	n.make = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[serde.Windowed[K], A](children)
		if err != nil {
			return nil, err
		}
		return newWindowInstance(instance{t, n}, windowInstance[K, V, A]{
			keys: s.keys, add: add, absent: absenceOf(as), span: span, dropAbsent: dropAbsent,
			everyUpdate: everyUpdate || t.EveryUpdate(), next: next,
		}, name)
	}
	if possible && name != "" && !isNil(s.keys) && !isNil(as) {
		n.stores = []storeUse{windowStore(name, s.keys, as, w.w, o)}
	}
	return WindowedTable[K, A]{b: s.b, n: n, name: name, keys: s.keys, values: as, windows: w.w}
}

// checkWindows reports impossible windows, and a retention that is shorter than the rows are needed.
func (b *Builder) checkWindows(n *node, w Windows, o tableOptions) (ok bool) {
	problems := w.problems()
	for _, text := range problems {
		b.problem("%v: %s", n, text)
	}
	if len(problems) == 0 && o.hasRetention && o.retention < w.lifetime() {
		b.problem("%v: the retention %v is less than the window size %v plus the grace %v: open windows would be lost", n, o.retention, w.size, w.grace)
	}
	return len(problems) == 0
}
