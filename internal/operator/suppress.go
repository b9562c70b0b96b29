package operator

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Suppress holds the updates of a table back, merges the updates of each row, and passes
// a row on when it is due. The updates are kept in a store. An index in memory has the
// order in which the rows are due.
//
// If updates are merged, the node first takes in all updates of a flush, and passes rows
// on afterwards. Otherwise the result would depend on the order of the flush, which sends
// rows in the order of their first change, with the timestamps of their last change.
type Suppress[K, V any] struct {
	Store string
	Keys  serde.Serde[K]

	// Limit is how long a row is held back, in ms of the stream time of the updates. It
	// has no meaning if the rows wait for their windows to be closed.
	Limit int64

	// Window returns the window of a row. Rows are held back until it is closed by all
	// aggregations in Closes. Both are nil for a time limit.
	Window func(K) serde.Window
	Closes []Closing

	// MaxRecords and MaxBytes bound what is held back; 0: no bound. If the bound is
	// exceeded, the first rows are passed on early, or the task fails.
	MaxRecords, MaxBytes int64
	FailFull             bool
	Values               serde.Serde[V] // to count bytes
}

// Closing says when an aggregation closes its windows: when its stream time is Delay ms
// after their end.
type Closing struct {
	Node  string
	Delay int64
}

// bufferStore is the part of a store's instance that a Suppress needs.
type bufferStore[K, V any] interface {
	cellStore[K, Buffered[V]]

	NewTimeIndex() *engine.TimeIndex
	// EachCommitted calls f for each committed row. key is valid during the call.
	EachCommitted(f func(key []byte, row Buffered[V]) error) error
	// Decode returns the key of bytes.
	Decode(data []byte) (K, error)
}

// New makes the node's instance for one task.
func (c Suppress[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	store, err := storeOf[bufferStore[K, V]](t, c.Store)
	if err != nil {
		return nil, err
	}
	s := &suppress[K, V]{
		base: base{t, n}, config: c, store: store, cells: store.Cells(), index: store.NewTimeIndex(),
		keys: keyEncoder[K]{serde: c.Keys}, streamTime: t.Time(n.Name),
	}
	t.OnClose(n, func() error { s.index.Close(); return nil })
	if s.updates, err = updatesTo[K, V](children); err != nil {
		return nil, err
	}
	if !t.EveryUpdate() {
		s.cells.KeepOld() // many rows come and go between two commits
	}
	for _, of := range c.Closes {
		s.closes = append(s.closes, closes{t.Time(of.Node), of.Delay})
	}
	t.OnFlush(n, s.flush)
	return s, store.EachCommitted(func(key []byte, row Buffered[V]) error {
		s.enter(row, append([]byte(nil), key...))
		return nil
	})
}

type suppress[K, V any] struct {
	base
	config     Suppress[K, V]
	store      bufferStore[K, V]
	cells      *engine.Cells[K, Buffered[V]]
	index      *engine.TimeIndex
	keys       keyEncoder[K]
	updates    updates[K, V]
	streamTime *processor.Timestamp // largest timestamp of the updates
	closes     []closes

	records, bytes int64     // that are held back
	inFlush        bool      // of this node
	warned         time.Time // when a full buffer was last logged
	scratch        []byte
}

// closes is a Closing in a task.
type closes struct {
	streamTime *processor.Timestamp
	delay      int64
}

// enter counts a row that is held back now.
func (s *suppress[K, V]) enter(row Buffered[V], key []byte) {
	s.index.Add(int64(row.Slot), key)
	s.records++
	s.bytes += row.size + int64(len(key))
}

// ReceiveChange takes an update. If the application merges updates, rows that are due are
// passed on at the commit.
func (s *suppress[K, V]) ReceiveChange(c *graph.Change[K, V]) error {
	*s.streamTime = max(*s.streamTime, c.Timestamp)
	key, err := s.keys.bytes(c.KeyBytes, c.Key)
	if err == nil {
		err = s.take(c, key)
	}
	switch {
	case graph.IsFinal(err):
		return s.broken(err)
	case err != nil:
		_, failure := s.failed(err, nil)
		return failure
	case s.task.EveryUpdate():
		return s.settle()
	}
	return nil
}

// take puts an update into the buffer. An error of the store is a graph.Final.
func (s *suppress[K, V]) take(c *graph.Change[K, V], key []byte) error {
	cell, err := s.cells.Load(key, c.Key)
	if err != nil {
		return graph.Final(err)
	}
	row, held := cell.Value, cell.Present
	if !held {
		row.Prior = Version[V]{c.Old, !c.NoOld}
	}
	if s.config.Window != nil && c.NoValue && !row.Prior.There {
		return s.forget(cell, held)
	}
	m := s.task.Metadata()
	next := Buffered[V]{
		Slot: row.Slot, Timestamp: c.Timestamp, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Headers: c.Headers,
		Prior: row.Prior, Old: Version[V]{c.Old, !c.NoOld}, New: Version[V]{c.Value, !c.NoValue},
	}
	if !held {
		next.Slot = s.slot(c)
	}
	if err := s.measure(&next); err != nil {
		return err
	}
	if err := s.cells.Set(cell, next, true, int64(c.Timestamp), s.origin(c.Headers)); err != nil {
		return graph.Final(err)
	}
	if held {
		s.bytes += next.size - row.size
		return nil
	}
	s.enter(next, cell.KeyBytes())
	return nil
}

// slot returns the slot of a row's first update.
func (s *suppress[K, V]) slot(c *graph.Change[K, V]) processor.Timestamp {
	if s.config.Window != nil {
		return processor.Timestamp(s.config.Window(c.Key).End)
	}
	return c.Timestamp
}

// measure sets the size of a row, if bytes are bounded.
func (s *suppress[K, V]) measure(row *Buffered[V]) (err error) {
	if s.config.MaxBytes == 0 {
		return nil
	}
	defer graph.Guard(&err)
	if s.scratch, err = (bufferedValues[V]{s.config.Values}).Append(s.scratch[:0], *row); err != nil {
		return err
	}
	row.size = sizeOf(int64(len(s.scratch)), len(row.Headers))
	return nil
}

// forget removes a row that was deleted before it was passed on. The entry in the index
// stays until it is due, or until too many entries are without a row.
func (s *suppress[K, V]) forget(cell *engine.Cell[K, Buffered[V]], held bool) error {
	if !held {
		return nil
	}
	if err := s.remove(cell); err != nil {
		return graph.Final(err)
	}
	const few = 64
	if stale := int64(s.index.Len()) - s.records; stale <= s.records+few {
		return nil
	}
	return graph.Final(s.index.Keep(func(_ int64, key []byte) (bool, error) {
		cell, err := s.cells.Get(key)
		return cell != nil, err
	}))
}

// remove removes a row from the buffer.
func (s *suppress[K, V]) remove(cell *engine.Cell[K, Buffered[V]]) error {
	s.records--
	s.bytes -= cell.Value.size + int64(len(cell.KeyBytes()))
	return s.cells.Set(cell, Buffered[V]{}, false, int64(max(*s.streamTime, 0)), engine.Origin{})
}

// flush comes after the flushes of the nodes above.
func (s *suppress[K, V]) flush() error {
	s.inFlush = true
	err := s.settle()
	s.inFlush = false
	return err
}

// settle passes on what is due, and then the first rows while there are too many.
func (s *suppress[K, V]) settle() error {
	if err := s.passUntil(s.until()); err != nil || !s.full() {
		return err
	}
	if s.config.FailFull {
		return s.broken(s.fullError())
	}
	s.warn()
	held := s.records
	for s.full() {
		at, _, _ := s.index.First()
		_, key, _ := s.index.Take(at)
		if err := s.pass(key); err != nil {
			return err
		}
	}
	s.task.BufferFull(s.node, held-s.records)
	return nil
}

// passUntil passes on the rows with a slot up to the given one.
func (s *suppress[K, V]) passUntil(slot int64) error {
	for {
		_, key, ok := s.index.Take(slot)
		if !ok {
			return nil
		}
		if err := s.pass(key); err != nil {
			return err
		}
	}
}

// until returns the last slot that is due.
func (s *suppress[K, V]) until() int64 {
	if s.config.Window == nil {
		return int64(*s.streamTime) - s.config.Limit
	}
	until := int64(*s.closes[0].streamTime) - s.closes[0].delay
	for _, c := range s.closes[1:] {
		until = min(until, int64(*c.streamTime)-c.delay)
	}
	return until
}

// pass passes a row on, if it is still there.
func (s *suppress[K, V]) pass(key []byte) error {
	decoded, err := s.store.Decode(key)
	if err != nil {
		return s.broken(err)
	}
	cell, err := s.cells.Load(key, decoded)
	if err != nil {
		return s.broken(err)
	}
	if !cell.Present {
		return nil
	}
	row := cell.Value
	if err := s.remove(cell); err != nil {
		return s.broken(err)
	}
	if s.inFlush {
		s.flushing(engine.Origin{Topic: row.Topic, Partition: row.Partition, Offset: row.Offset})
	}
	s.updates.set(decoded, key, row.New.Value, row.New.There, int64(row.Timestamp), row.Headers)
	s.updates.setOld(row.Prior.Value, row.Prior.There)
	return s.updates.send()
}

// full reports whether more is held back than allowed.
func (s *suppress[K, V]) full() bool {
	c := &s.config
	return c.MaxRecords > 0 && s.records > c.MaxRecords || c.MaxBytes > 0 && s.bytes > c.MaxBytes
}

func (s *suppress[K, V]) fullError() error {
	return fmt.Errorf("the buffer %s is full: it holds %d records of %d allowed (0: any number), and %d bytes of %d allowed: "+
		"raise MaxRecords or MaxBytes, remove them so that the buffer is on disk without a bound, or let it emit early",
		s.config.Store, s.records, s.config.MaxRecords, s.bytes, s.config.MaxBytes)
}

// quiet is the shortest time between two log lines about a full buffer.
const quiet = time.Minute

// warn logs that rows are passed on early because the buffer is full.
func (s *suppress[K, V]) warn() {
	if now := s.task.Now(); s.warned.IsZero() || now.Sub(s.warned) >= quiet {
		s.warned = now
		s.task.Logger().Warn("the buffer of a suppress is full, so rows are passed on before their time: raise its bound, or shorten its time limit", "node", s.node.Name,
			"records", s.records, "max_records", s.config.MaxRecords, "bytes", s.bytes, "max_bytes", s.config.MaxBytes)
	}
}
