package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Grouped is a stream in which records with equal keys meet in one task, ready to be
// aggregated. If it has a repartition topic, all aggregations on it share that topic.
//
// Without windows there are no late records: an aggregation takes the records of a key in
// the order in which they arrive. A row has the largest timestamp of its records, and an
// update of it the headers of the last one. See "Updates of tables" in the package
// documentation for the order of updates.
type Grouped[K, V any] struct {
	g *grouping[K, V]
}

// grouping is shared by the copies of a Grouped.
type grouping[K, V any] struct {
	s           flow[K, V] // repartitioned once an aggregation has asked for it
	name        string
	opts        repartitionOptions
	repartition bool // not yet repartitioned
}

// GroupBy groups by a key that is computed from the value. If the value is absent, key
// sees the zero value. The records always go through the topic <app>-<name>-repartition.
// If ks is Optional, key may return the absent key. The record is then dropped, and
// counted as dropped.
func GroupBy[K, V, K2 any](s Stream[K, V], name string, key func(V) K2, ks serde.Serde[K2], opts ...GroupOption) Grouped[K2, V] {
	return groupBy(s, name, key, func(r *graph.Record[K, V]) (K2, error) { return key(r.Value), nil }, ks, opts)
}

// GroupByRecord is GroupBy with a function that sees the whole record and may fail.
func GroupByRecord[K, V, K2 any](s Stream[K, V], name string, key func(processor.Record[K, V]) (K2, error), ks serde.Serde[K2], opts ...GroupOption) Grouped[K2, V] {
	return groupBy(s, name, key, func(r *graph.Record[K, V]) (K2, error) { return key(r.Record) }, ks, opts)
}

// GroupByKey groups by the key of the records. If Map, FlatMap, SelectKey or Process may
// have changed the key since the last source or repartition, the records go through the
// topic <app>-<name>-repartition. Otherwise they do not.
func GroupByKey[K, V any](s Stream[K, V], name string, opts ...GroupOption) Grouped[K, V] {
	g := &grouping[K, V]{s: s.flow, name: name, opts: groupOptions(opts), repartition: s.rekeyed}
	s.b.claim("groupByKey", name, "the repartition topic, if one is needed")
	if g.opts.fixed && !s.rekeyed {
		s.b.problem("groupByKey %q: the key has not changed, so nothing is repartitioned and Partitions has no effect: use Repartition", name)
	}
	return Grouped[K, V]{g}
}

func groupBy[K, V, K2 any](s Stream[K, V], name string, given any, key func(*graph.Record[K, V]) (K2, error), ks serde.Serde[K2], opts []GroupOption) Grouped[K2, V] {
	rekeyed := selectKey(s, "groupBy", name, given, key, ks)
	s.b.needName(rekeyed.n, name, "the repartition topic")
	return Grouped[K2, V]{&grouping[K2, V]{s: rekeyed.flow, name: rekeyed.n.name, opts: groupOptions(opts), repartition: true}}
}

func groupOptions(opts []GroupOption) (o repartitionOptions) {
	for _, opt := range withoutNil(opts) {
		opt.applyGroup(&o)
	}
	return o
}

// Builder returns the builder that the grouped stream belongs to.
func (g Grouped[K, V]) Builder() *Builder { return g.g.s.b }

// flowOf returns the records that aggregations read. The first call adds the
// repartitioning.
func flowOf[K, V any](g *grouping[K, V]) flow[K, V] {
	if g == nil {
		panic("topology: the Grouped was not made by GroupBy or GroupByKey")
	}
	if g.repartition {
		g.repartition = false
		g.s = repartition(g.s, "groupBy", g.name, g.opts)
	}
	return g.s
}

// Count counts the records of each key. Records without a key or without a value are
// dropped, and counted as dropped. name is the name of the table and of its store. The
// changelog is <app>-<name>-changelog.
//
// If nothing else reads the repartition topic, and processing is exactly once, each task
// counts before it sends: the topic gets one record for each key and commit. With
// EveryUpdate, TTL or Versioned, the topic gets every record.
func (g Grouped[K, V]) Count(name string, opts ...TableOption) Table[K, int64] {
	how := operator.Combining[K, V, int64]{Values: serde.Int64, Add: count[K, V], Merge: sum}
	return aggregateCombined(flowOf(g.g), "count", name, alwaysCombined, how, opts)
}

// Reduce combines the values of each key. The first value is stored unchanged. The rest
// is as for Count, but the repartition topic gets every record, unless the option
// [Combine] says that they may be combined.
func (g Grouped[K, V]) Reduce(name string, f func(a, b V) V, opts ...TableOption) Table[K, V] {
	in := flowOf(g.g)
	// With f it can read what a version with Combine has sent.
	how := operator.Combining[K, V, V]{Values: in.values, Add: reduce[K](f), Merge: mergePart(f)}
	t := aggregateCombined(in, "reduce", name, declaredCombined, how, opts)
	t.b.needFunc(t.n, f)
	return t
}

// TryReduce is Reduce with a function that may fail.
func (g Grouped[K, V]) TryReduce(name string, f func(a, b V) (V, error), opts ...TableOption) Table[K, V] {
	t := aggregate(flowOf(g.g), "reduce", name, tryReduce[K](f), flowOf(g.g).values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// Aggregate folds the records of each key into an aggregate. The aggregate starts with
// the result of initial. add may change its argument in place and return it. If the serde
// is Optional (see serde.Nullable), an absent aggregate deletes the row, and the next
// record starts with initial again. The rest is as for Reduce.
func Aggregate[K, V, A any](g Grouped[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) A, as serde.Serde[A], opts ...TableOption) Table[K, A] {
	how := operator.Combining[K, V, A]{Values: as, Add: fold(initial, add)}
	t := aggregateCombined(flowOf(g.g), "aggregate", name, declaredCombined, how, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	return t
}

// TryAggregate is Aggregate with a function that may fail. If add returns an error, it
// must leave the aggregate as it was. The row then stays, unless the error policy aborts.
func TryAggregate[K, V, A any](g Grouped[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) (A, error), as serde.Serde[A], opts ...TableOption) Table[K, A] {
	t := aggregate(flowOf(g.g), "aggregate", name, tryFold(initial, add), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	return t
}
