package state

import (
	"errors"
	"fmt"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Entry is a row of a key-value store.
type Entry[K, V any] struct {
	Key       K
	Value     V
	Timestamp processor.Timestamp // of the last write
}

// KeyValueStore is a typed key-value store. It is for the goroutine of its task: inside Init, Process, Flush and punctuators.
//
// Range reads are in order of the keys' bytes, with both bounds inclusive; they end at the first error, which they yield with a zero Entry. The loop may write to
// the store: a row that the loop has not reached is yielded as it is when it is reached.
type KeyValueStore[K, V any] interface {
	processor.Store

	// Get returns the value of key, and whether there is one.
	Get(key K) (V, bool, error)
	// GetTimestamped is Get with the timestamp of the last write.
	GetTimestamped(key K) (V, processor.Timestamp, bool, error)

	// Put sets the value of key. Its timestamp is that of the record being processed; in a punctuator, the punctuator's.
	Put(key K, value V) error
	// PutTimestamped is Put with a timestamp. A negative one is an error: no broker takes a record with it, and so neither would the changelog.
	PutTimestamped(key K, value V, at processor.Timestamp) error
	// PutIfAbsent puts value if key has none. Otherwise it changes nothing, and returns the value that is there, and true.
	PutIfAbsent(key K, value V) (V, bool, error)
	// Delete removes key, and returns what was there.
	Delete(key K) (V, bool, error)

	// Range yields the rows with from <= key <= to.
	Range(from, to K) iter.Seq2[Entry[K, V], error]
	ReverseRange(from, to K) iter.Seq2[Entry[K, V], error]
	// From yields the rows with key >= from.
	From(from K) iter.Seq2[Entry[K, V], error]
	ReverseFrom(from K) iter.Seq2[Entry[K, V], error]
	// To yields the rows with key <= to.
	To(to K) iter.Seq2[Entry[K, V], error]
	ReverseTo(to K) iter.Seq2[Entry[K, V], error]
	All() iter.Seq2[Entry[K, V], error]
	ReverseAll() iter.Seq2[Entry[K, V], error]
	// PrefixScan yields the rows whose encoded keys begin with prefix.
	PrefixScan(prefix []byte) iter.Seq2[Entry[K, V], error]
}

// Open returns the store of the processor's task; call it in Init. A processor that was not given the store when the topology was built is a mistake
// in the program: Open then panics with an error that says so, which fails Init.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) KeyValueStore[K, V] {
	if spec == nil {
		panic(errors.New("open store: the spec is nil"))
	}
	s, err := ctx.Store(spec.StoreName())
	if err != nil {
		panic(fmt.Errorf("open store %s: %w", spec.StoreName(), err))
	}
	switch s := s.(type) {
	case *keyValue[K, V]:
		return &keyValue[K, V]{core: s.core, metadata: ctx.Metadata}
	case KeyValueStore[K, V]:
		return s
	}
	panic(fmt.Errorf("open store %s: the processor was given another store of this name, a %T, and opens it as a %T: open it with the spec that was given to topology.Process", spec.StoreName(), s, spec))
}

// keyValue is a store's instance in a task, or what one processor holds of it.
type keyValue[K, V any] struct {
	*core[K, V]
	metadata func() processor.Metadata // of the current record; nil if not known
}

// core is what all holders of an instance share.
type core[K, V any] struct {
	name   string
	keys   serde.Serde[K]
	noKey  serde.Optional[K] // nil unless keys is Optional
	noVal  serde.Optional[V]
	cells  *engine.Cells[K, V]
	now    func() int64
	keyBuf []byte
}

func newKeyValue[K, V any](s *keyValueSpec[K, V], env engine.Env) *keyValue[K, V] {
	env.EveryUpdate = env.EveryUpdate || s.o.everyUpdate
	c := &core[K, V]{
		name:  s.name,
		keys:  s.keys,
		cells: engine.NewCells(engine.CellsConfig[K, V]{Store: s.name, Env: env, Value: s.values}),
		now:   env.Now,
	}
	c.noKey, _ = s.keys.(serde.Optional[K])
	c.noVal, _ = s.values.(serde.Optional[V])
	return &keyValue[K, V]{core: c}
}

func (s *core[K, V]) Name() string                     { return s.name }
func (s *core[K, V]) StoreName() string                { return s.name }
func (s *core[K, V]) Cells() *engine.Cells[K, V]       { return s.cells }
func (s *core[K, V]) Flush(b *engine.TableBatch) error { return s.cells.Flush(b) }
func (s *core[K, V]) Committed()                       { s.cells.Committed() }
func (s *core[K, V]) Trim()                            { s.cells.Trim() }

func (s *core[K, V]) Close() error {
	s.cells.Close()
	return nil
}

// encode returns the bytes of a key, valid until the next call.
func (s *core[K, V]) encode(key K) ([]byte, error) {
	if s.noKey != nil && s.noKey.Absent(key) {
		return nil, fmt.Errorf("store %s: %w", s.name, errNoKey)
	}
	b, err := s.keys.Append(s.keyBuf[:0], key)
	if err != nil {
		return nil, fmt.Errorf("store %s: encode a key: %w", s.name, err)
	}
	s.keyBuf = b
	return b, nil
}

var errNoKey = errors.New("the key is absent")

func (s *core[K, V]) load(key K) (*engine.Cell[K, V], error) {
	b, err := s.encode(key)
	if err != nil {
		return nil, err
	}
	return s.cells.Load(b, key)
}

func (s *core[K, V]) Get(key K) (V, bool, error) {
	v, _, ok, err := s.GetTimestamped(key)
	return v, ok, err
}

func (s *core[K, V]) GetTimestamped(key K) (V, processor.Timestamp, bool, error) {
	cell, err := s.load(key)
	if err != nil || !cell.Present {
		var zero V
		return zero, 0, false, err
	}
	return cell.Value, processor.Timestamp(cell.Timestamp), true, nil
}

func (s *keyValue[K, V]) origin() engine.Origin {
	if s.metadata == nil {
		return engine.Origin{}
	}
	m := s.metadata()
	return engine.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
}

func (s *keyValue[K, V]) Put(key K, value V) error { return s.put(key, value, s.now()) }

func (s *keyValue[K, V]) PutTimestamped(key K, value V, at processor.Timestamp) error {
	if at < 0 {
		return fmt.Errorf("store %s: the timestamp %d is negative", s.name, int64(at))
	}
	return s.put(key, value, int64(at))
}

func (s *keyValue[K, V]) put(key K, value V, at int64) error {
	b, err := s.encode(key)
	if err != nil {
		return err
	}
	present := s.noVal == nil || !s.noVal.Absent(value)
	_, err = s.cells.Put(b, key, value, present, at, s.origin())
	return err
}

func (s *keyValue[K, V]) PutIfAbsent(key K, value V) (V, bool, error) {
	v, ok, err := s.Get(key)
	if err != nil || ok {
		return v, ok, err
	}
	return v, false, s.Put(key, value)
}

func (s *keyValue[K, V]) Delete(key K) (V, bool, error) {
	var zero V
	cell, err := s.load(key)
	if err != nil {
		return zero, false, err
	}
	old, had := cell.Value, cell.Present
	// The deletion of an absent row is logged too, as Kafka Streams does.
	if err := s.cells.Set(cell, zero, false, s.now(), s.origin()); err != nil {
		return zero, false, err
	}
	return old, had, nil
}
