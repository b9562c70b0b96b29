package windowstore

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Entry is a row of a window store.
type Entry[K, V any] struct {
	Key       K
	Start     processor.Timestamp // of the window
	End       processor.Timestamp // Start + the store's window size; math.MaxInt64 for windows without end
	Value     V
	Timestamp processor.Timestamp // of the last write
}

// Store is a typed window store. It is for the goroutine of its task: inside Init, Process, Flush and punctuators.
//
// Range reads have inclusive bounds, on the window start; they end at the first error, which they yield with a zero Entry. The loop may write to the
// store: a row that the loop has not reached is yielded as it is when it is reached.
type Store[K, V any] interface {
	processor.Store

	// Put sets the value of key in the window that begins at start. Its timestamp is that of the record being processed; in a punctuator, the
	// punctuator's. An expired window is not written; see the package documentation.
	Put(key K, value V, start processor.Timestamp) error
	// PutTimestamped is Put with a timestamp. A negative one is an error: no broker takes a record with it, and so neither would the changelog.
	PutTimestamped(key K, value V, start, at processor.Timestamp) error
	// Delete removes the value of key in the window that begins at start.
	Delete(key K, start processor.Timestamp) error

	// Get returns the value of key in the window that begins at start, and whether there is one.
	Get(key K, start processor.Timestamp) (V, bool, error)

	// Fetch yields the windows of key with from <= start <= to, by start.
	Fetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// FetchRange yields the windows with from <= start <= to of the keys from first to last.
	FetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// FetchAll yields the windows with from <= start <= to of all keys.
	FetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// All yields all windows that have not expired.
	All() iter.Seq2[Entry[K, V], error]
	ReverseAll() iter.Seq2[Entry[K, V], error]
}

// ExpiredReason is the reason with which a put of an expired window is counted as dropped.
const ExpiredReason = "expired window"

// Open returns the store of the processor's task; call it in Init. A processor that was not given the store when the topology was built is a mistake in the
// program: Open then panics with an error that says so, which fails Init.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) Store[K, V] {
	if spec == nil {
		panic(errors.New("open window store: the spec is nil"))
	}
	s, err := ctx.Store(spec.StoreName())
	if err != nil {
		panic(fmt.Errorf("open window store %s: %w", spec.StoreName(), err))
	}
	switch s := s.(type) {
	case *store[K, V]:
		return &store[K, V]{core: s.core, metadata: ctx.Metadata, drop: ctx.Drop}
	case Store[K, V]:
		return s
	}
	panic(fmt.Errorf("open window store %s: the processor was given another store of this name, a %T, and opens it as a %T: open it with the spec that was given to topology.Process", spec.StoreName(), s, spec))
}

// store is a store's instance in a task, or what one processor holds of it.
type store[K, V any] struct {
	*core[K, V]
	metadata func() processor.Metadata // of the current record; nil if not known
	drop     func(reason string)       // nil: not counted
}

// core is what all holders of an instance share.
type core[K, V any] struct {
	name      string
	keys      serde.Serde[K]
	values    serde.Serde[V]
	noKey     serde.Optional[K] // nil unless keys is Optional
	noVal     serde.Optional[V]
	size      int64
	retention int64
	layout    engine.WindowLayout
	env       engine.Env
	time      *int64 // the store's time
	cells     *engine.Cells[K, V]

	deleted []byte // local keys below were deleted
	forget  bool   // the cells below are still there

	duplicates bool
	seq        uint32 // of the last put
	openTime   int64  // the store's time when it was opened

	keyBuf, cellBuf []byte
}

func open[K, V any](s *spec[K, V], env engine.Env) (*store[K, V], error) {
	env.EveryUpdate = env.EveryUpdate || s.o.everyUpdate
	layout := s.Layout()
	if env.Table != nil {
		var err error
		if layout, err = env.Table.WindowLayout(s.retention.Milliseconds()); err != nil {
			return nil, err
		}
	}
	c := &core[K, V]{
		name:       s.name,
		keys:       s.keys,
		values:     s.values,
		size:       s.size.Milliseconds(),
		retention:  s.retention.Milliseconds(),
		layout:     layout,
		env:        env,
		time:       env.Time,
		cells:      engine.NewCells(engine.CellsConfig[K, V]{Store: s.name, Env: env, Value: s.values, LogFrom: engine.WindowLogFrom}),
		duplicates: s.o.duplicates,
	}
	c.noKey, _ = s.keys.(serde.Optional[K])
	c.noVal, _ = s.values.(serde.Optional[V])
	if *c.time < 0 {
		if err := c.findTime(); err != nil {
			return nil, err
		}
	}
	c.openTime = *c.time
	return &store[K, V]{core: c}, nil
}

// findTime sets the store's time from the rows, for a store whose time was not committed: one that was restored from the changelog of a Java
// application, say. Only rows of the last segment can be the latest.
func (s *core[K, V]) findTime() error {
	rows, err := s.env.Table.Scan(nil, nil)
	if err != nil {
		return err
	}
	segment := int64(-1)
	for rows.Prev() {
		_, start, _, ok := engine.SplitLocal(rows.Key())
		if !ok {
			continue
		}
		if at := start / s.layout.Interval; segment < 0 {
			segment = at
		} else if at != segment {
			break
		}
		*s.time = max(*s.time, start)
	}
	return rows.Close()
}

func (s *core[K, V]) Name() string               { return s.name }
func (s *core[K, V]) StoreName() string          { return s.name }
func (s *core[K, V]) Cells() *engine.Cells[K, V] { return s.cells }

func (s *core[K, V]) Close() error {
	s.cells.Close()
	return nil
}

// encode returns the bytes of a key, valid until the next call.
func (s *core[K, V]) encode(key K) ([]byte, error) {
	if s.noKey != nil && s.noKey.Absent(key) {
		return nil, fmt.Errorf("window store %s: %w", s.name, errNoKey)
	}
	b, err := s.keys.Append(s.keyBuf[:0], key)
	if err != nil {
		return nil, fmt.Errorf("window store %s: encode a key: %w", s.name, err)
	}
	s.keyBuf = b
	return b, nil
}

var errNoKey = errors.New("the key is absent")

// cellKey returns the key of a cell, valid until the next call.
func (s *core[K, V]) cellKey(key K, start int64, seq uint32) ([]byte, error) {
	b, err := s.encode(key)
	if err != nil {
		return nil, err
	}
	s.cellBuf = s.layout.AppendKey(s.cellBuf[:0], b, start, seq)
	return s.cellBuf, nil
}

// expired reports whether reads hide windows with this start.
func (s *core[K, V]) expired(start int64) bool { return start <= *s.time-s.retention }

func (s *core[K, V]) Get(key K, start processor.Timestamp) (V, bool, error) {
	var zero V
	if start < 0 || s.expired(int64(start)) {
		return zero, false, nil
	}
	if s.duplicates {
		for e, err := range s.Fetch(key, start, start) {
			return e.Value, err == nil, err
		}
		return zero, false, nil
	}
	b, err := s.cellKey(key, int64(start), 0)
	if err != nil {
		return zero, false, err
	}
	cell, err := s.cells.Get(b)
	if err != nil || cell == nil {
		return zero, false, err
	}
	return cell.Value, true, nil
}

func (s *store[K, V]) Put(key K, value V, start processor.Timestamp) error {
	return s.put(key, value, true, int64(start), s.env.Now())
}

func (s *store[K, V]) PutTimestamped(key K, value V, start, at processor.Timestamp) error {
	if at < 0 {
		return fmt.Errorf("window store %s: the timestamp %d is negative", s.name, int64(at))
	}
	return s.put(key, value, true, int64(start), int64(at))
}

func (s *store[K, V]) Delete(key K, start processor.Timestamp) error {
	var zero V
	return s.put(key, zero, false, int64(start), s.env.Now())
}

func (s *store[K, V]) put(key K, value V, present bool, start, at int64) error {
	if start < 0 {
		return fmt.Errorf("window store %s: window start %d ms is before 1970", s.name, start)
	}
	if s.noVal != nil && s.noVal.Absent(value) {
		present = false
	}
	if _, err := s.encode(key); err != nil {
		return err // no number is used up
	}
	seq, err := s.nextSeq(key, start)
	if err != nil {
		return err
	}
	b, err := s.cellKey(key, start, seq)
	if err != nil {
		return err
	}
	if s.duplicates && !present {
		return s.logOnly(b, value, false, at, s.origin())
	}
	s.Observe(start)
	if s.expired(start) {
		if s.drop != nil {
			s.drop(ExpiredReason)
		}
		return s.logOnly(b, value, present, at, s.origin())
	}
	_, err = s.cells.Put(b, key, value, present, at, s.origin())
	return err
}

// logOnly writes to the changelog what the store itself does not take.
func (s *core[K, V]) logOnly(cellKey []byte, value V, present bool, at int64, origin engine.Origin) error {
	if s.env.Log == nil {
		return nil
	}
	var data []byte
	if present {
		var err error
		if data, err = s.values.Append([]byte{}, value); err != nil {
			return fmt.Errorf("window store %s: encode a value: %w", s.name, err)
		}
	}
	key := append([]byte(nil), cellKey[engine.WindowLogFrom:]...)
	return s.env.Log(key, data, at, &origin)
}

// nextSeq returns the sequence number of a put: 0, or the next number of a store that retains duplicates. Numbers begin anew when the store is opened, so
// below the store's time as of then they may be in use.
func (s *core[K, V]) nextSeq(key K, start int64) (uint32, error) {
	if !s.duplicates {
		return 0, nil
	}
	for {
		s.seq = (s.seq + 1) & math.MaxInt32
		if start > s.openTime {
			return s.seq, nil
		}
		b, err := s.cellKey(key, start, s.seq)
		if err != nil {
			return 0, err
		}
		cell, err := s.cells.Get(b)
		if err != nil || cell == nil {
			return s.seq, err
		}
	}
}

func (s *store[K, V]) origin() engine.Origin {
	if s.metadata == nil {
		return engine.Origin{}
	}
	m := s.metadata()
	return engine.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
}

// Flush also deletes the segments that have expired. What was put into them since the last Flush goes with them.
func (s *core[K, V]) Flush(b *engine.TableBatch) error {
	if err := s.cells.Flush(b); err != nil {
		return err
	}
	below := s.layout.ExpiredBelow(*s.time, s.retention)
	if string(below) <= string(s.deleted) {
		return nil
	}
	s.deleted, s.forget = below, true
	return b.DeleteRange(nil, below)
}

func (s *core[K, V]) Trim() { s.cells.Trim() }

// Committed also drops what is cached of the segments that were deleted.
func (s *core[K, V]) Committed() {
	s.cells.Committed()
	if s.forget {
		s.forget = false
		s.cells.Forget(s.deleted)
	}
}
