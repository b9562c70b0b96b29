package operator

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Suppression says how long updates are held back, and how many.
type Suppression struct {
	Store string

	// Limit is how long a row is held back, in ms of the stream time of the updates. It
	// has no meaning if the rows wait for their windows to be closed.
	Limit int64

	// Closes are the aggregations that must all have closed the window of a row before it
	// is passed on; none for a time limit.
	Closes []Closing

	// MaxRecords and MaxBytes bound what is held back; 0: no bound. If the bound is
	// exceeded, the first rows are passed on early, or the task fails.
	MaxRecords, MaxBytes int64
	FailFull             bool
}

// Closing says when an aggregation closes its windows: when its stream time is Delay ms
// after their end.
type Closing struct {
	Node  string
	Delay int64
	Idle  bool // stream time goes on while its inputs are idle
}

// updateBuffer holds the updates of a Suppress in one task.
type updateBuffer struct {
	base base
	heldRows
	config     Suppression
	values     serde.Serde[Buffered]
	streamTime *processor.Timestamp // largest timestamp of the updates
	closes     []closes
	send       func(key []byte, row *Buffered) error // passes a row on

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

// open returns the buffer of a node, with the committed updates in it. send passes a row
// on.
func (c Suppression) open(of base, values serde.Serde[Buffered], send func([]byte, *Buffered) error) (heldBack, error) {
	held, err := openHeld(of, c.Store)
	if err != nil {
		return nil, err
	}
	b := &updateBuffer{base: of, heldRows: held, config: c, values: values, streamTime: of.task.Time(of.node.Name), send: send}
	for _, of := range c.Closes {
		b.closes = append(b.closes, closes{b.base.task.Time(of.Node), of.Delay})
	}
	b.base.task.OnFlush(b.base.node, b.flush)
	if slices.ContainsFunc(c.Closes, func(of Closing) bool { return of.Idle }) {
		b.base.task.OnIdle(b.base.node, b.idle)
	}
	return b, b.each(func(key []byte, row Buffered) error {
		b.enter(row, key)
		return nil
	})
}

// priorOf returns the row as it was last passed on, if an update of it is in the buffer.
// An error of the store is a graph.Final.
type priorOf func(key []byte) (prior Version, held bool, err error)

// priorIn returns the priorOf of a buffer.
func priorIn(t graph.Task, store string) (priorOf, error) {
	s, err := storeOf[heldStore](t, store)
	if err != nil {
		return nil, err
	}
	cells := s.Cells()
	return func(key []byte) (prior Version, held bool, err error) {
		cell, err := cells.Load(key, nil)
		if err != nil {
			return Version{}, false, graph.Final(err)
		}
		return cell.Value.Prior, cell.Present, nil
	}, nil
}

// enter counts a row that is held back now.
func (b *updateBuffer) enter(row Buffered, key []byte) {
	b.index.Add(int64(row.Slot), key)
	b.records++
	b.bytes += row.size + int64(len(key))
}

// take implements heldBack.
func (b *updateBuffer) take(key []byte, next Buffered) error {
	*b.streamTime = max(*b.streamTime, next.Timestamp)
	cell, err := b.cells.Load(key, nil)
	if err != nil {
		return graph.Final(err)
	}
	row, held := cell.Value, cell.Present
	next.Prior = next.Old
	if held {
		next.Slot, next.Prior = row.Slot, row.Prior
	}
	if b.untilClosed() && !next.New.There && !next.Prior.There {
		return b.forget(cell, held)
	}
	if err := b.measure(&next); err != nil {
		return err
	}
	if err := b.cells.Set(cell, next, true, int64(next.Timestamp), b.base.origin(next.Headers)); err != nil {
		return graph.Final(err)
	}
	if held {
		b.bytes += next.size - row.size
		return nil
	}
	b.enter(next, cell.KeyBytes())
	return nil
}

// untilClosed reports whether the rows wait for their windows to be closed.
func (b *updateBuffer) untilClosed() bool { return len(b.closes) > 0 }

// measure sets the size of a row, if bytes are bounded.
func (b *updateBuffer) measure(row *Buffered) (err error) {
	if b.config.MaxBytes == 0 {
		return nil
	}
	defer graph.Guard(&err)
	if b.scratch, err = b.values.Append(b.scratch[:0], *row); err != nil {
		return err
	}
	row.size = sizeOf(int64(len(b.scratch)), len(row.Headers))
	return nil
}

// forget removes a row that was deleted before it was passed on. The entry in the index
// stays until it is due, or until too many entries are without a row.
func (b *updateBuffer) forget(cell *engine.Cell[any, Buffered], held bool) error {
	if !held {
		return nil
	}
	if err := b.remove(cell); err != nil {
		return graph.Final(err)
	}
	const few = 64
	if stale := int64(b.index.Len()) - b.records; stale <= b.records+few {
		return nil
	}
	return graph.Final(b.index.Keep(func(_ int64, key []byte) (bool, error) {
		cell, err := b.cells.Get(key)
		return cell != nil, err
	}))
}

// remove removes a row from the buffer.
func (b *updateBuffer) remove(cell *engine.Cell[any, Buffered]) error {
	b.records--
	b.bytes -= cell.Value.size + int64(len(cell.KeyBytes()))
	return b.cells.Set(cell, Buffered{}, false, int64(max(*b.streamTime, 0)), engine.Origin{})
}

// flush comes after the flushes of the nodes above.
func (b *updateBuffer) flush() error {
	b.inFlush = true
	err := b.settle()
	b.inFlush = false
	return err
}

// idle is called when the aggregations may have closed windows without new records. It
// reports whether rows are due. The flush of the commit passes them on.
func (b *updateBuffer) idle(graph.Idle) (due bool, err error) {
	at, _, ok := b.index.First()
	if !ok || at > b.until() {
		return false, nil
	}
	if b.base.task.EveryUpdate() {
		err = b.settle()
	}
	return true, err
}

// settle implements heldBack.
func (b *updateBuffer) settle() error {
	if err := b.passUntil(b.until()); err != nil || !b.full() {
		return err
	}
	if b.config.FailFull {
		return b.base.broken(b.fullError())
	}
	b.warn()
	held := b.records
	for b.full() {
		at, _, _ := b.index.First()
		_, key, _ := b.index.Take(at)
		if err := b.pass(key); err != nil {
			return err
		}
	}
	b.base.task.BufferFull(b.base.node, held-b.records)
	return nil
}

// passUntil passes on the rows with a slot up to the given one.
func (b *updateBuffer) passUntil(slot int64) error {
	for {
		_, key, ok := b.index.Take(slot)
		if !ok {
			return nil
		}
		if err := b.pass(key); err != nil {
			return err
		}
	}
}

// until returns the last slot that is due.
func (b *updateBuffer) until() int64 {
	if !b.untilClosed() {
		return int64(*b.streamTime) - b.config.Limit
	}
	until := int64(*b.closes[0].streamTime) - b.closes[0].delay
	for _, c := range b.closes[1:] {
		until = min(until, int64(*c.streamTime)-c.delay)
	}
	return until
}

// pass passes a row on, if it is still there.
func (b *updateBuffer) pass(key []byte) error {
	cell, err := b.cells.Load(key, nil)
	if err != nil {
		return b.base.broken(err)
	}
	if !cell.Present {
		return nil
	}
	row := cell.Value
	if err := b.remove(cell); err != nil {
		return b.base.broken(err)
	}
	if b.inFlush {
		b.base.flushing(engine.Origin{Topic: row.Topic, Partition: row.Partition, Offset: row.Offset})
	}
	return b.send(key, &row)
}

// full reports whether more is held back than allowed.
func (b *updateBuffer) full() bool {
	c := &b.config
	return c.MaxRecords > 0 && b.records > c.MaxRecords || c.MaxBytes > 0 && b.bytes > c.MaxBytes
}

func (b *updateBuffer) fullError() error {
	return fmt.Errorf("the buffer %s is full: it holds %d records of %d allowed (0: any number), and %d bytes of %d allowed: "+
		"raise MaxRecords or MaxBytes, remove them so that the buffer is on disk without a bound, or let it emit early",
		b.config.Store, b.records, b.config.MaxRecords, b.bytes, b.config.MaxBytes)
}

// quiet is the shortest time between two log lines about a full buffer.
const quiet = time.Minute

// warn logs that rows are passed on early because the buffer is full.
func (b *updateBuffer) warn() {
	if now := b.base.task.Now(); b.warned.IsZero() || now.Sub(b.warned) >= quiet {
		b.warned = now
		b.base.task.Logger().Warn("a buffer is full: rows are passed on before their time", "node", b.base.node.Name,
			"records", b.records, "max_records", b.config.MaxRecords, "bytes", b.bytes, "max_bytes", b.config.MaxBytes)
	}
}
