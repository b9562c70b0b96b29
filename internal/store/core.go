package store

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Core is what the instances of all kinds have in common: the encoding of keys, and the
// rows in memory. It is for the task's goroutine.
type Core[K, V any] struct {
	spec   *Spec
	env    engine.Env
	keys   serde.Serde[K]
	values serde.Serde[V]
	noKey  serde.Optional[K] // nil unless keys is Optional
	noVal  serde.Optional[V]
	cells  *engine.Cells[K, V]
	used   *Usage // nil but for bounded stores
	keyBuf []byte
}

// NewCore returns the core of an instance. logFrom is how many leading bytes of a row's
// key its changelog key does not have.
func NewCore[K, V any](t *Typed[K, V], env engine.Env, logFrom int) *Core[K, V] {
	c := &Core[K, V]{
		spec:   &t.spec,
		env:    env,
		keys:   t.keys,
		values: t.values,
		cells: engine.NewCells(engine.CellsConfig[K, V]{
			Store: t.spec.Name, Env: env, Value: t.values, LogFrom: logFrom,
			Format: t.spec.Migrations.Newest(), Convert: t.spec.converter(), LateSweep: t.spec.Kind.MigratesPast,
		}),
	}
	c.noKey, _ = t.keys.(serde.Optional[K])
	c.noVal, _ = t.values.(serde.Optional[V])
	return c
}

// Name returns the store's name.
func (c *Core[K, V]) Name() string { return c.spec.Name }

// StoreName returns the store's name.
func (c *Core[K, V]) StoreName() string { return c.spec.Name }

// Spec returns the store's description.
func (c *Core[K, V]) Spec() *Spec { return c.spec }

// Env returns what the instance may use of its task.
func (c *Core[K, V]) Env() *engine.Env { return &c.env }

// Cells returns the rows in memory.
func (c *Core[K, V]) Cells() *engine.Cells[K, V] { return c.cells }

// Usage returns the order in which the rows of a bounded key-value store were used, nil
// for other stores.
func (c *Core[K, V]) Usage() *Usage { return c.used }

// NewTimeIndex returns an empty index. The caller closes it.
func (c *Core[K, V]) NewTimeIndex() *engine.TimeIndex { return engine.NewTimeIndex(c.env.Budget) }

// KeepOld asks for engine.Cells.Old. Call it before the first change.
func (c *Core[K, V]) KeepOld() { c.cells.KeepOld() }

// Flush implements engine.Store. It first deletes the rows that have expired, unless the
// store is a table: the table's operator has deleted and forwarded them.
func (c *Core[K, V]) Flush(b *engine.TableBatch) error {
	if c.cells.Lifetimes().ExpiredByStore() {
		if failure, err := c.cells.Expire(c.Decode, c.expire); failure != nil || err != nil {
			return errors.Join(failure, err)
		}
	}
	return c.cells.Flush(b)
}

// expire deletes a row that has expired.
func (c *Core[K, V]) expire(cell *engine.Cell[K, V]) error {
	if c.used != nil {
		c.used.Remove(cell.KeyBytes())
	}
	var none V
	return c.cells.Set(cell, none, false, c.cells.Lifetimes().End(cell.Timestamp), engine.Origin{})
}

// Committed implements engine.Store.
func (c *Core[K, V]) Committed() { c.cells.Committed() }

// Trim implements engine.Store.
func (c *Core[K, V]) Trim() { c.cells.Trim() }

// Close implements engine.Store.
func (c *Core[K, V]) Close() error {
	c.cells.Close()
	if c.used != nil {
		c.used.close()
	}
	return nil
}

// errNoKey is the error about a key that is absent by its serde.
var errNoKey = errors.New("the key is absent")

// Encode returns the bytes of a key, valid until the next call.
func (c *Core[K, V]) Encode(key K) ([]byte, error) {
	if c.noKey != nil && c.noKey.Absent(key) {
		return nil, c.Wrap(errNoKey)
	}
	b, err := c.keys.Append(c.keyBuf[:0], key)
	if err != nil {
		return nil, c.Wrap(fmt.Errorf("encode a key: %w", err))
	}
	c.keyBuf = b
	return b, nil
}

// Decode returns the key of bytes that Encode wrote.
func (c *Core[K, V]) Decode(data []byte) (K, error) {
	key, err := c.keys.Decode(data)
	if err != nil {
		return key, c.Wrap(fmt.Errorf("decode a key: %w", err))
	}
	return key, nil
}

// DecodeValue returns the value of bytes that EncodeValue wrote.
func (c *Core[K, V]) DecodeValue(data []byte) (V, error) {
	return decodeValue(c.spec, c.values, data)
}

// EncodeValue returns the bytes of a value, which belong to the caller.
func (c *Core[K, V]) EncodeValue(value V) ([]byte, error) {
	data, err := c.values.Append([]byte{}, value)
	if err != nil {
		return nil, c.Wrap(fmt.Errorf("encode a value: %w", err))
	}
	return data, nil
}

// Present reports whether a value is one: to put a value that is absent by its serde is
// to delete the row.
func (c *Core[K, V]) Present(value V) bool { return c.noVal == nil || !c.noVal.Absent(value) }

// CheckTime refuses a timestamp that no broker takes, and with it the changelog.
func (c *Core[K, V]) CheckTime(at processor.Timestamp) error {
	if at < 0 {
		return c.Wrap(fmt.Errorf("the timestamp %d is negative", int64(at)))
	}
	return nil
}

// Wrap names the store in an error.
func (c *Core[K, V]) Wrap(err error) error { return c.spec.wrap(err) }

// User is what a processor's hold on a store knows of the processor. The zero User knows
// nothing.
type User struct {
	Metadata func() processor.Metadata // of the current record
	Drop     func(reason string)       // counts a dropped record
}

// UserOf returns the User of a processor's context.
func UserOf[K, V any](ctx processor.Context[K, V]) User {
	return User{Metadata: ctx.Metadata, Drop: ctx.Drop}
}

// Origin returns the record that is being processed, as the origin of a change.
func (u User) Origin() engine.Origin {
	if u.Metadata == nil {
		return engine.Origin{}
	}
	m := u.Metadata()
	return engine.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
}

// Dropped counts a dropped record.
func (u User) Dropped(reason string) {
	if u.Drop != nil {
		u.Drop(reason)
	}
}

// Open returns the instance of the store with the spec, for a processor. What is wrong is
// a mistake in the program: Open panics with an error, which fails the processor's Init.
func Open[K, V any](ctx processor.Context[K, V], spec processor.StoreSpec) processor.Store {
	s, err := Of(spec)
	if s == nil {
		panic(fmt.Errorf("open store: %w", err))
	}
	instance, err := ctx.Store(s.Name)
	if err != nil {
		panic(fmt.Errorf("open %s: %w", s, err))
	}
	return instance
}

// Other returns the error of a processor that opens a store with another spec than it was
// given.
func Other(spec processor.StoreSpec, instance processor.Store) error {
	if _, ok := instance.(OfTable); ok {
		return fmt.Errorf("open store %s: it is the store of a table, which only the table may write: open it with OpenTable to read it", spec.StoreName())
	}
	return fmt.Errorf("open store %s: the processor was given another store of this name, a %T, and opens it as a %T: "+
		"open it with the spec that was given to topology.Process", spec.StoreName(), instance, spec)
}
