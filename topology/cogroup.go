package topology

import (
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Folded is one input of a [Cogroup]: a grouped stream, with the function that adds its
// records to the aggregate.
type Folded[K, A any] struct {
	b     *Builder
	name  string // of the grouping
	given any    // the function that the user passed
	flow  func() flow[K, struct{}]
	make  maker
}

// Fold makes an input of a [Cogroup]. add adds a record to the aggregate, as for
// [Aggregate]. It may change its first argument in place and return it.
func Fold[K, V, A any](g Grouped[K, V], add func(A, processor.Record[K, V]) A) Folded[K, A] {
	return foldOf(g, add, func(last A, r processor.Record[K, V]) (A, error) { return add(last, r), nil })
}

// TryFold is Fold with a function that may fail. If add returns an error, it must leave
// the aggregate as it was.
func TryFold[K, V, A any](g Grouped[K, V], add func(A, processor.Record[K, V]) (A, error)) Folded[K, A] {
	return foldOf(g, add, add)
}

func foldOf[K, V, A any](g Grouped[K, V], given any, add func(A, processor.Record[K, V]) (A, error)) Folded[K, A] {
	if g.g == nil {
		flowOf(g.g) // which panics
	}
	return Folded[K, A]{
		b: g.g.s.b, name: g.g.name, given: given, make: operator.CogroupInput[K, V, A]{Add: add}.New,
		flow: func() flow[K, struct{}] {
			s := flowOf(g.g)
			return flow[K, struct{}]{b: s.b, n: s.n, keys: s.keys}
		},
	}
}

// Cogrouped is several grouped streams that are aggregated together.
type Cogrouped[K, A any] struct{ inputs []Folded[K, A] }

// Cogroup aggregates several grouped streams into one table. The streams have one type of
// keys, and each has its own type of values:
//
//	both := topology.Cogroup(
//		topology.Fold(clicks, addClick),
//		topology.Fold(purchases, addPurchase))
//	both.Aggregate("activity", zero, serde.JSON[Activity]())
//
// The records of all inputs with one key change one row. The order of records of
// different inputs is that of the task: see "Order" in the package documentation. A row
// has the largest timestamp of its records, and an update of it the headers of the last
// one.
//
// As for [Join], the topics behind the inputs must have the same number of partitions.
// Groupings whose key may have changed are repartitioned.
func Cogroup[K, A any](first Folded[K, A], more ...Folded[K, A]) Cogrouped[K, A] {
	return Cogrouped[K, A]{append([]Folded[K, A]{first}, more...)}
}

// Aggregate folds the records of each key into an aggregate. The aggregate starts with
// the result of initial. Records without a key or without a value are dropped, and
// counted as dropped. If the serde is Optional (see serde.Nullable), an absent aggregate
// deletes the row, and the next record starts with initial again.
//
// name is the name of the table and of its store. The changelog is
// <app>-<name>-changelog.
func (c Cogrouped[K, A]) Aggregate(name string, initial func() A, as serde.Serde[A], opts ...TableOption) Table[K, A] {
	s, inputs := c.open()
	t := aggregate(s, "cogroup", name, operator.AddContributions[K](initial), as, opts)
	t.b.needFunc(t.n, initial)
	c.attach(t.n, s, inputs)
	return t
}

// Window divides the groups into windows of time.
func (c Cogrouped[K, A]) Window(w Windows) WindowedCogroup[K, A] {
	return WindowedCogroup[K, A]{c, w}
}

// Sessions cuts the groups into sessions. Two records of a key belong to one session if
// they are at most a gap apart, also if they come from different inputs. gap must be a
// whole number of milliseconds. It may be 0.
func (c Cogrouped[K, A]) Sessions(gap time.Duration) SessionCogroup[K, A] {
	return SessionCogroup[K, A]{c, Windows{kind: sessions, size: gap}}
}

// WindowedCogroup is a cogroup that is divided into windows of time. See [Windowed] for
// the windows.
//
// Each input has a stream time of its own, as in Kafka Streams: a record is late if its
// window is closed by the largest timestamp of its own input. An input that is behind the
// others therefore loses no records, as long as it is at most a minute behind the newest
// one: further behind, it counts as a minute behind. With [Retention], the bound is the
// time by which rows are kept longer than the windows need.
//
// After [WindowedTable.Final], and in front of a [Table.Suppress] with [UntilClosed], all
// inputs share the largest stream time: a window can be closed only once.
type WindowedCogroup[K, A any] struct {
	c Cogrouped[K, A]
	w Windows
}

// Aggregate folds the records of each key and window into an aggregate, like
// [Cogrouped.Aggregate]. Over [Sliding] windows, records without a value are dropped;
// over other windows, they are added too.
func (w WindowedCogroup[K, A]) Aggregate(name string, initial func() A, as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	s, inputs := w.c.open()
	t := aggregateWindows(s, w.w, "cogroup", name, operator.AddContributions[K](initial), as, keptForInputs(w.w, opts))
	t.b.needFunc(t.n, initial)
	w.c.attach(t.n, s, inputs)
	return t
}

// SessionCogroup is a cogroup that is cut into sessions. See [Sessions] for what a
// session is, and [WindowedCogroup] for the stream time of the inputs.
type SessionCogroup[K, A any] struct {
	c Cogrouped[K, A]
	w Windows
}

// Grace keeps a session open until stream time is later than its end by more than the gap
// plus d. Default: none.
func (s SessionCogroup[K, A]) Grace(d time.Duration) SessionCogroup[K, A] {
	s.w.grace = d
	return s
}

// Aggregate folds the records of each key and session into an aggregate, like
// [Cogrouped.Aggregate]. Records without a value are added too. If two sessions become
// one, merge makes one aggregate of theirs, as for [AggregateSessions].
func (s SessionCogroup[K, A]) Aggregate(name string, initial func() A, merge func(a, b A) A, as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	return s.aggregate(name, initial, merge, merging(merge), as, opts)
}

// TryAggregate is Aggregate with a merge that may fail. If merge returns an error, it
// must leave b as it was.
func (s SessionCogroup[K, A]) TryAggregate(name string, initial func() A, merge func(a, b A) (A, error), as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	return s.aggregate(name, initial, merge, merge, as, opts)
}

func (s SessionCogroup[K, A]) aggregate(name string, initial func() A, given any, merge operator.Merger[A], as serde.Serde[A], opts []WindowedTableOption) WindowedTable[K, A] {
	in, inputs := s.c.open()
	t := aggregateSessions(in, s.w, "cogroup", name, operator.AddContributions[K](initial), merge, as, keptForInputs(s.w, opts))
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, given)
	s.c.attach(t.n, in, inputs)
	return t
}

// open returns what the aggregation reads, with the keys of the first input, and the
// flows of all inputs. It makes their repartitionings.
func (c Cogrouped[K, A]) open() (s flow[K, operator.Contribution[A]], inputs []flow[K, struct{}]) {
	if len(c.inputs) == 0 {
		panic("topology: the Cogrouped was not made by Cogroup")
	}
	for _, in := range c.inputs {
		if in.flow == nil {
			panic("topology: the Folded was not made by Fold")
		}
		inputs = append(inputs, in.flow())
	}
	s.b, s.n, s.keys = inputs[0].b, inputs[0].n, inputs[0].keys
	return s, inputs
}

// attach puts the nodes of the inputs in front of the aggregation n.
func (c Cogrouped[K, A]) attach(n *node, s flow[K, operator.Contribution[A]], inputs []flow[K, struct{}]) {
	n.parents = nil
	seen := map[string]bool{}
	for i, in := range c.inputs {
		switch f := inputs[i]; {
		case !s.b.sameBuilder(n, in.b):
		case seen[in.name] && in.name != "":
			s.b.problem("%v: was given the grouping %q twice: fold its records with one function", n, in.name)
		default:
			seen[in.name] = true
			s.b.sameKeys(n, s.keys, f.keys)
			n.parents = append(n.parents, s.b.addCogroupInput(n, f.n, in.name, in.make))
			s.b.needFunc(n, in.given)
		}
	}
}

// addCogroupInput adds the node of an input in front of the aggregation.
func (b *Builder) addCogroupInput(n, parent *node, grouping string, of maker) *node {
	return b.addBefore(n, &node{kind: graph.Processor, op: "cogroup", make: of}, grouping, parent)
}

// keptForInputs adds how much longer than their windows need rows are kept, unless an
// option says it.
func keptForInputs(w Windows, opts []WindowedTableOption) []WindowedTableOption {
	return append(withoutNil(opts), windowedTableOption(func(o *tableOptions) {
		if !o.hasRetention {
			o.retention = sumOf(w.lifetime(), time.Minute)
		}
	}))
}
