package topology

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// aggregate adds a table that folds the records of each key.
func aggregate[K, V, A any](g Grouped[K, V], op, name string, add adder[K, V, A], as serde.Serde[A], opts []TableOption) Table[K, A] {
	s := g.stream()
	var o tableOptions
	for _, opt := range withoutNil(opts) {
		opt.applyTable(&o)
	}
	n := s.b.add(&node{kind: graph.Processor, op: op, keyed: true}, name, s.n)
	s.b.checkTable(n, name, s.keys, as)
	n.make = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K, A](children)
		if err != nil {
			return nil, err
		}
		return newAggregateInstance(instance{t, n}, aggregateInstance[K, V, A]{
			keys: s.keys, add: add, absent: absenceOf(as), everyUpdate: o.everyUpdate || t.EveryUpdate(), next: next,
		}, name)
	}
	if name != "" && !isNil(s.keys) && !isNil(as) {
		n.stores = []storeUse{keyValueStore(name, s.keys, as, o)}
	}
	return Table[K, A]{b: s.b, n: n, name: name, keys: s.keys, values: as}
}

// aggregateInstance keeps a row for each key.
type aggregateInstance[K, V, A any] struct {
	instance
	keys        serde.Serde[K]
	add         adder[K, V, A]
	absent      absence[A]
	everyUpdate bool
	cells       *engine.Cells[K, A]
	key         []byte // scratch
	out         graph.Record[K, A]
	next        graph.Receiver[K, A]
}

func newAggregateInstance[K, V, A any](i instance, a aggregateInstance[K, V, A], store string) (*aggregateInstance[K, V, A], error) {
	a.instance = i
	s, err := storeOf[cellStore[K, A]](i.task, store)
	if err != nil {
		return nil, err
	}
	if !a.everyUpdate {
		if a.absent.expressible() {
			// Only rows that can be deleted can come and go between two commits, and only then is the old row asked for.
			s.Cells().KeepOld()
		}
		i.task.OnFlush(i.node, a.flush)
	}
	a.cells = s.Cells()
	return &a, nil
}

// cellStore is what the instances of key-value stores are besides. Typed rows are read and written without the store in between.
type cellStore[K, A any] interface {
	Cells() *engine.Cells[K, A]
}

// storeOf returns a store of the task as what it must be.
func storeOf[S any](t graph.Task, name string) (S, error) {
	var none S
	store, err := t.Store(name)
	if err != nil {
		return none, err
	}
	s, ok := store.(S)
	if !ok {
		return none, fmt.Errorf("store %s is a %T, which is no %T", name, store, &none)
	}
	return s, nil
}

func (a *aggregateInstance[K, V, A]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey {
		a.drop(nullKey)
		return nil
	}
	if r.NoValue {
		a.drop(nullValue)
		return nil
	}
	broken, err := a.update(r)
	if broken != nil {
		return a.broken(broken)
	}
	if err != nil {
		_, failure := a.failed(err, nil)
		return failure
	}
	if !a.everyUpdate {
		return nil
	}
	return a.next.Receive(&a.out)
}

// update folds the record into its row, and sets out. broken is an error of the store, err one of the user's functions.
func (a *aggregateInstance[K, V, A]) update(r *graph.Record[K, V]) (broken, err error) {
	defer graph.Guard(&err)
	key := r.KeyBytes
	if key == nil {
		if a.key, err = a.keys.Append(a.key[:0], r.Key); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		key = a.key
	}
	cell, broken := a.cells.Load(key, r.Key)
	if broken != nil {
		return broken, nil
	}
	at := int64(r.Timestamp)
	if cell.Present {
		at = max(at, cell.Timestamp)
	}
	value, err := a.add(cell.Value, cell.Present, r)
	if err != nil {
		return nil, err
	}
	present := !a.absent.is(value)
	if broken := a.cells.Set(cell, value, present, loggedAt(at, present, r), originOf(&a.instance, r)); broken != nil {
		return broken, nil
	}
	if a.everyUpdate {
		setRow(&a.out, r.Key, key, value, present, at)
		a.out.Headers = r.Headers
	}
	return nil, nil
}

// loggedAt returns the timestamp with which a row goes to the changelog. As in Kafka Streams a deletion has that of its record alone.
func loggedAt[K, V any](at int64, present bool, r *graph.Record[K, V]) int64 {
	if present {
		return at
	}
	return int64(r.Timestamp)
}

func originOf[K, V any](i *instance, r *graph.Record[K, V]) engine.Origin {
	m := i.task.Metadata()
	o := engine.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Headers: r.Headers}
	if in := i.task.Input(); in != nil {
		o.Input = in
	}
	return o
}

// flush forwards the rows that have changed since the last commit.
func (a *aggregateInstance[K, V, A]) flush() error {
	for cell := range a.cells.Dirty() {
		if skip, err := unchanged(a.cells, cell); err != nil || skip {
			if err != nil {
				return a.broken(err)
			}
			continue
		}
		setRow(&a.out, cell.Key, cell.KeyBytes(), cell.Value, cell.Present, cell.Timestamp)
		a.out.Headers = a.flushing(a.cells.Origin(cell))
		if err := a.next.Receive(&a.out); err != nil {
			return err
		}
	}
	return nil
}

// unchanged reports whether a dirty row was absent at the last commit and is absent again.
func unchanged[K, A any](cells *engine.Cells[K, A], cell *engine.Cell[K, A]) (bool, error) {
	if cell.Present {
		return false, nil
	}
	_, _, was, err := cells.Old(cell)
	return !was, err
}
