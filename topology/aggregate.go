package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// aggregate adds a table that folds the records of each key.
func aggregate[K, V, A any](s flow[K, V], op, name string, add operator.Adder[K, V, A], as serde.Serde[A], opts []TableOption) Table[K, A] {
	return aggregateCombined(s, op, name, neverCombined, operator.Combining[K, V, A]{Values: as, Add: add}, opts)
}

// aggregateCombined is aggregate of records that may be combined.
func aggregateCombined[K, V, A any](s flow[K, V], op, name string, when combining, how operator.Combining[K, V, A], opts []TableOption) Table[K, A] {
	o := chosenTable(opts)
	n := s.b.addTable(op, name, s.n, serdes{s.keys, how.Values})
	how, combines := combine(s.b, n, when, how, o)
	n.make = operator.Aggregate[K, V, A]{
		Store: name, Keys: s.keys, Values: how.Values, Add: how.Add, Merge: how.Merge, EveryUpdate: o.everyUpdate,
	}.New
	s.b.checkTTL(n, o)
	if combines {
		n.combines = how
	}
	if name != "" && !isNil(s.keys) && !isNil(how.Values) {
		n.stores = []storeUse{keyValueStore(name, s.keys, how.Values, o)}
	}
	stored := rows[K, A]{operator.StoredRows[K, A]{Store: name, Keys: s.keys}, []*node{n}, o.history}
	return Table[K, A]{b: s.b, n: n, name: name, keys: s.keys, values: how.Values, rows: stored}
}

// aggregateWindows adds a table that folds the records of each key and window.
func aggregateWindows[K, V, A any](s flow[K, V], w Windows, op, name string, add operator.Adder[K, V, A], as serde.Serde[A], opts []WindowedTableOption) WindowedTable[K, A] {
	o := chosenWindowedTable(opts)
	n := s.b.addTable(op, name, s.n, serdes{s.keys, as})
	n.windows, n.everyUpdate = &w, o.everyUpdate
	s.b.closesWhenIdle(n, o)
	possible := s.b.checkWindows(n, w, o)
	_, optional := s.values.(serde.Optional[V])
	n.make = operator.AggregateWindows[K, V, A]{
		Store: name, Keys: s.keys, Values: as, Add: add, Span: w.span(),
		DropAbsent: op == "reduce" && !optional, EveryUpdate: o.everyUpdate, Lag: w.lag(o.retention),
	}.New
	if w.kind == sliding {
		n.make = operator.AggregateSliding[K, V, A]{
			Store: name, Keys: s.keys, Values: as, Add: add,
			Size: w.size.Milliseconds(), Grace: w.grace.Milliseconds(), EveryUpdate: o.everyUpdate, Lag: w.lag(o.retention),
		}.New
	}
	if possible && name != "" && !isNil(s.keys) && !isNil(as) {
		n.stores = []storeUse{windowStore(name, s.keys, as, w, o)}
	}
	return windowedTable(s.b, n, name, s.keys, as, w)
}

// aggregateSessions adds a table that folds the records of each key and session.
func aggregateSessions[K, V, A any](s flow[K, V], w Windows, op, name string, add operator.Adder[K, V, A], merge operator.Merger[A], as serde.Serde[A], opts []WindowedTableOption) WindowedTable[K, A] {
	o := chosenWindowedTable(opts)
	n := s.b.addTable(op, name, s.n, serdes{s.keys, as})
	n.windows, n.everyUpdate = &w, o.everyUpdate
	s.b.closesWhenIdle(n, o)
	possible := s.b.checkWindows(n, w, o)
	_, optional := s.values.(serde.Optional[V])
	n.make = operator.AggregateSessions[K, V, A]{
		Store: name, Keys: s.keys, Values: as, Add: add, Merge: merge,
		Gap: w.size.Milliseconds(), Grace: w.grace.Milliseconds(),
		Retention:  max(o.retention, w.lifetime()).Milliseconds(),
		DropAbsent: op == "reduce" && !optional, EveryUpdate: o.everyUpdate, Lag: w.lag(o.retention),
	}.New
	if possible && name != "" && !isNil(s.keys) && !isNil(as) {
		n.stores = []storeUse{sessionStore(name, s.keys, as, w, o)}
	}
	return windowedTable(s.b, n, name, s.keys, as, w)
}

// addTable adds the node of an aggregation, and reports a missing name or serde.
func (b *Builder) addTable(op, name string, parent *node, s serdes) *node {
	n := b.add(&node{kind: graph.Processor, op: op, keyed: true, table: true}, name, parent)
	b.needName(n, name, "its table, store and changelog")
	b.needSerdes(n, s, "to store them")
	return n
}

func chosenTable(opts []TableOption) (o tableOptions) {
	for _, opt := range withoutNil(opts) {
		opt.applyTable(&o)
	}
	return o
}

func chosenWindowedTable(opts []WindowedTableOption) (o tableOptions) {
	for _, opt := range withoutNil(opts) {
		opt.applyWindowedTable(&o)
	}
	return o
}

// checkWindows reports impossible windows, and a retention that is shorter than rows are
// needed.
func (b *Builder) checkWindows(n *node, w Windows, o tableOptions) (ok bool) {
	problems := w.problems()
	for _, text := range problems {
		b.problem("%v: %s", n, text)
	}
	if len(problems) == 0 && o.hasRetention && o.retention < w.openFor() {
		b.problem("%v: the retention %v is less than %s %v plus the grace %v, so open windows would be lost: use a longer Retention", n, o.retention, w.sizeName(), w.size, w.grace)
	}
	return len(problems) == 0
}

// sum is the Merge of counts. A count that is not there is 0.
func sum(last int64, _ bool, part int64) int64 { return last + part }

func count[K, V any](n int64, _ bool, _ *graph.Record[K, V]) (int64, bool, error) {
	return n + 1, true, nil
}

// reduce stores the first value unchanged.
func reduce[K, V any](f func(a, b V) V) operator.Adder[K, V, V] {
	return func(last V, exists bool, r *graph.Record[K, V]) (V, bool, error) {
		if !exists {
			return r.Value, true, nil
		}
		return f(last, r.Value), true, nil
	}
}

func tryReduce[K, V any](f func(a, b V) (V, error)) operator.Adder[K, V, V] {
	return func(last V, exists bool, r *graph.Record[K, V]) (_ V, _ bool, err error) {
		if !exists {
			return r.Value, true, nil
		}
		last, err = f(last, r.Value)
		return last, true, err
	}
}

func fold[K, V, A any](initial func() A, add func(A, processor.Record[K, V]) A) operator.Adder[K, V, A] {
	return func(last A, exists bool, r *graph.Record[K, V]) (A, bool, error) {
		if !exists {
			last = initial()
		}
		return add(last, r.Record), true, nil
	}
}

func tryFold[K, V, A any](initial func() A, add func(A, processor.Record[K, V]) (A, error)) operator.Adder[K, V, A] {
	return func(last A, exists bool, r *graph.Record[K, V]) (_ A, _ bool, err error) {
		if !exists {
			last = initial()
		}
		last, err = add(last, r.Record)
		return last, true, err
	}
}
