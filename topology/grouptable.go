package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// GroupedTable is a table whose rows are grouped, ready to be aggregated. If a row
// changes, its old value is subtracted from its old group, and its new value is added to
// its new group.
type GroupedTable[K, V any] struct {
	updates flow[K, operator.Delta[V]] // repartitioned
	values  serde.Serde[V]
}

// GroupTable groups the rows of a table by a key that is computed from the value. The
// updates always go through the topic <app>-<name>-repartition, in the format of Kafka
// Streams. If ks is Optional, key may return the absent key. The row is then in no group,
// and counted as dropped.
//
// key is called for the old and the new value of each update. Its result must therefore
// depend on the value only. The table must have a store, or must be derived from a table
// that has one.
//
// There are no late records: the updates of a row are sent in order, with the timestamp
// and the headers of the update, and a group takes them in the order in which they
// arrive. An update of the past of a [Versioned] table changes no group.
func GroupTable[K, V, K2 any](t Table[K, V], name string, key func(V) K2, ks serde.Serde[K2], opts ...GroupOption) GroupedTable[K2, V] {
	return groupTable(t, name, key, func(r *graph.Record[K, V]) (K2, error) { return key(r.Value), nil }, ks, opts)
}

// TryGroupTable is GroupTable with a function that may fail. If the error policy skips
// the error, the row is in no group.
func TryGroupTable[K, V, K2 any](t Table[K, V], name string, key func(V) (K2, error), ks serde.Serde[K2], opts ...GroupOption) GroupedTable[K2, V] {
	return groupTable(t, name, key, func(r *graph.Record[K, V]) (K2, error) { return key(r.Value) }, ks, opts)
}

// GroupTableRecord is TryGroupTable with a function that sees the key too. Its result
// must depend on key and value only.
func GroupTableRecord[K, V, K2 any](t Table[K, V], name string, key func(processor.Record[K, V]) (K2, error), ks serde.Serde[K2], opts ...GroupOption) GroupedTable[K2, V] {
	return groupTable(t, name, key, func(r *graph.Record[K, V]) (K2, error) { return key(r.Record) }, ks, opts)
}

func groupTable[K, V, K2 any](t Table[K, V], name string, given any, key func(*graph.Record[K, V]) (K2, error), ks serde.Serde[K2], opts []GroupOption) GroupedTable[K2, V] {
	n := t.b.add(&node{kind: graph.Processor, op: "groupTable", make: operator.TableGroup[K, V, K2]{Key: key, Keys: ks}.New}, name, t.n)
	t.b.needName(n, name, "the repartition topic")
	t.b.needFunc(n, given)
	t.b.needSerde(n, "key", ks, "to send them through topic <app>-"+name+graph.RepartitionSuffix)
	t.b.needSerde(n, "value", t.values, "to send them through topic <app>-"+name+graph.RepartitionSuffix)
	if !t.n.sendsOld() {
		t.b.problem("%v: the table has no store, so its old values cannot be subtracted: %s", n, t.n.addStore())
	}
	s := flow[K2, operator.Delta[V]]{b: t.b, n: n, keys: ks}
	if !isNil(t.values) {
		s.values = operator.Deltas(t.values)
	}
	o := groupOptions(opts)
	o.allWithKey = true // the node has dropped the others
	return GroupedTable[K2, V]{repartition(s, "groupTable", n.name, o), t.values}
}

// sendsOld returns graph.Node.SendsOld.
func (n *node) sendsOld() bool {
	if !n.table || len(n.stores) > 0 {
		return n.table
	}
	return len(n.parents) > 0 && !slices.ContainsFunc(n.parents, func(p *node) bool { return !p.sendsOld() })
}

// Builder returns the builder that the grouped table belongs to.
func (g GroupedTable[K, V]) Builder() *Builder { return g.updates.b }

// Count counts the rows of each group. name is the name of the table and of its store.
// The changelog is <app>-<name>-changelog. If a group has lost all its rows, its count is
// 0.
//
// If a row moves from one group to another, the two groups change one after the other.
// The timestamp of the result is the larger one of the group's row and the update.
func (g GroupedTable[K, V]) Count(name string, opts ...TableOption) Table[K, int64] {
	return aggregateGroups(g, "count", name, countDelta[K, V], serde.Int64, opts)
}

func countDelta[K, V any](n int64, exists bool, r *graph.Record[K, operator.Delta[V]]) (int64, bool, error) {
	if r.Value.HasOld && exists {
		n--
	}
	if r.Value.HasNew {
		n, exists = n+1, true
	}
	return n, exists, nil
}

// Reduce combines the values of each group. The first value is stored unchanged. subtract
// removes a value from the aggregate. If the value serde is Optional, an absent result
// deletes the row. The rest is as for Count.
func (g GroupedTable[K, V]) Reduce(name string, add, subtract func(aggregate, v V) V, opts ...TableOption) Table[K, V] {
	may := func(f func(a, v V) V) func(a, v V) (V, error) { return func(a, v V) (V, error) { return f(a, v), nil } }
	return g.reduce(name, may(add), may(subtract), []any{add, subtract}, opts)
}

// TryReduce is Reduce with functions that may fail. If the error policy skips the error,
// the update does not change the group, except that an old value stays subtracted if only
// add has failed. The group then differs from the sum of its rows, also after later
// updates: each of them subtracts the value of the update before it, which may never have
// been added. To leave rows out, use [Table.TryFilter] in front of GroupTable.
func (g GroupedTable[K, V]) TryReduce(name string, add, subtract func(aggregate, v V) (V, error), opts ...TableOption) Table[K, V] {
	return g.reduce(name, add, subtract, []any{add, subtract}, opts)
}

func (g GroupedTable[K, V]) reduce(name string, add, subtract func(aggregate, v V) (V, error), given []any, opts []TableOption) Table[K, V] {
	adder := func(last V, exists bool, r *graph.Record[K, operator.Delta[V]]) (_ V, _ bool, err error) {
		d := &r.Value
		if d.HasOld && exists {
			if last, err = subtract(last, d.Old); err != nil {
				return last, true, err
			}
			exists = !isAbsent(g.values, last)
		}
		switch {
		case !d.HasNew:
			return last, exists, nil
		case !exists:
			return d.New, true, nil
		}
		next, err := guarded(add, last, d.New)
		if err != nil {
			return last, true, halfway(d, err)
		}
		return next, true, nil
	}
	return withFuncs(aggregateGroups(g, "reduce", name, adder, g.values, opts), given)
}

// AggregateTable folds the rows of each group into an aggregate. The aggregate starts
// with the result of initial. add adds a row to the aggregate, and subtract removes one.
// Both may change their argument in place and return it. subtract gets the old value with
// the timestamp and the headers of the update. If the serde is Optional (see
// serde.Nullable), an absent aggregate deletes the row, and the next update starts with
// initial again. The rest is as for [GroupedTable.Count].
func AggregateTable[K, V, A any](g GroupedTable[K, V], name string, initial func() A, add, subtract func(A, processor.Record[K, V]) A, as serde.Serde[A], opts ...TableOption) Table[K, A] {
	may := func(f func(A, processor.Record[K, V]) A) func(A, processor.Record[K, V]) (A, error) {
		return func(a A, r processor.Record[K, V]) (A, error) { return f(a, r), nil }
	}
	return withFuncs(aggregateTable(g, name, initial, may(add), may(subtract), as, opts), []any{initial, add, subtract})
}

// TryAggregateTable is AggregateTable with functions that may fail. If a function returns
// an error, it must leave the aggregate as it was. If the error policy skips the error,
// the group is as [GroupedTable.TryReduce] says.
func TryAggregateTable[K, V, A any](g GroupedTable[K, V], name string, initial func() A, add, subtract func(A, processor.Record[K, V]) (A, error), as serde.Serde[A], opts ...TableOption) Table[K, A] {
	return withFuncs(aggregateTable(g, name, initial, add, subtract, as, opts), []any{initial, add, subtract})
}

func aggregateTable[K, V, A any](g GroupedTable[K, V], name string, initial func() A, add, subtract func(A, processor.Record[K, V]) (A, error), as serde.Serde[A], opts []TableOption) Table[K, A] {
	adder := func(last A, exists bool, r *graph.Record[K, operator.Delta[V]]) (_ A, _ bool, err error) {
		d := &r.Value
		row := processor.Record[K, V]{Key: r.Key, Timestamp: r.Timestamp, Headers: r.Headers}
		if d.HasOld && exists {
			row.Value = d.Old
			if last, err = subtract(last, row); err != nil {
				return last, true, err
			}
			exists = !isAbsent(as, last)
		}
		if !d.HasNew {
			return last, exists, nil
		}
		first := last
		if !exists {
			first = initial()
		}
		row.Value = d.New
		next, err := guarded(add, first, row)
		if err != nil {
			return last, exists, halfway(d, err)
		}
		return next, true, nil
	}
	return aggregateGroups(g, "aggregate", name, adder, as, opts)
}

// guarded returns a panic as an error.
func guarded[A, V any](f func(A, V) (A, error), a A, v V) (next A, err error) {
	defer graph.Guard(&err)
	return f(a, v)
}

// halfway marks an error of the function that adds the new value of an update. The old
// value stays subtracted, because subtract may have changed the aggregate in place.
func halfway[V any](d *operator.Delta[V], err error) error {
	if d.HasOld {
		return operator.Halfway(err)
	}
	return err
}

// aggregateGroups adds the table of an aggregation of a grouped table.
func aggregateGroups[K, V, A any](g GroupedTable[K, V], op, name string, add operator.Adder[K, operator.Delta[V], A], as serde.Serde[A], opts []TableOption) Table[K, A] {
	t := aggregate(g.updates, op, name, add, as, opts)
	t.b.refuseTTL(t.n, chosenTable(opts), "an aggregate that expires would still have rows, which would be subtracted from nothing: remove TTL, or give it to the table that is grouped")
	return t
}

// withFuncs reports functions that are nil.
func withFuncs[K, A any](t Table[K, A], given []any) Table[K, A] {
	for _, f := range given {
		t.b.needFunc(t.n, f)
	}
	return t
}

// isAbsent reports whether a value stands for "absent".
func isAbsent[T any](s serde.Serde[T], v T) bool {
	o, ok := s.(serde.Optional[T])
	return ok && o.Absent(v)
}
