package operator

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// delayedJoin joins each record of a stream with the row that a table had at the record's
// timestamp, once the stream's time is later than the record by the grace. Until then,
// updates of the table may still come late.
type delayedJoin[K, V, V2, R any] struct {
	*streamTableJoin[K, V, V2, R]
	buffer *joinBuffer[K]

	// Of the record that is joined after it has waited.
	waited   graph.Record[K, V]
	metadata processor.Metadata
}

// Receive implements graph.Receiver. A record that is later than the grace is joined at
// once, and so is a record without a key, for which no row will ever come.
func (j *delayedJoin[K, V, V2, R]) Receive(r *graph.Record[K, V]) error {
	switch {
	case !j.takes(r):
		return nil
	case r.NoKey, int64(r.Timestamp) < j.buffer.until():
		return j.send(r)
	}
	if err := j.buffer.add(r.Key, r.KeyBytes, j.waits(r), j.origin(nil)); err != nil {
		if graph.IsFinal(err) {
			return j.broken(err)
		}
		_, failure := j.failed(err, nil)
		return failure
	}
	for {
		_, key, ok := j.buffer.index.Take(j.buffer.until())
		if !ok {
			return nil
		}
		if err := j.sendWaited(key, r.Timestamp); err != nil {
			return err
		}
	}
}

// waits returns what the buffer keeps of a record.
func (j *delayedJoin[K, V, V2, R]) waits(r *graph.Record[K, V]) Buffered {
	m := j.task.Metadata()
	return Buffered{
		Timestamp: r.Timestamp, Headers: r.Headers, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		New: Version{r.Value, true},
	}
}

// sendWaited sends the result of a record that has waited, and removes it.
func (j *delayedJoin[K, V, V2, R]) sendWaited(data []byte, now processor.Timestamp) error {
	if err := j.takeWaited(data, now); err != nil {
		return j.broken(err)
	}
	j.from = &j.metadata
	err := j.send(&j.waited)
	j.from = nil
	return err
}

// takeWaited sets waited to a record that has waited, and removes it.
func (j *delayedJoin[K, V, V2, R]) takeWaited(data []byte, now processor.Timestamp) error {
	key, err := splitBuffered(data)
	if err != nil {
		return err
	}
	cell, err := j.buffer.cells.Load(data, BufferedKey[K]{})
	if err != nil {
		return err
	}
	b := cell.Value
	if err := j.buffer.cells.Set(cell, Buffered{}, false, int64(now), j.origin(nil)); err != nil {
		return err
	}
	j.waited = graph.Record[K, V]{KeyBytes: key}
	j.waited.Value, j.waited.Timestamp, j.waited.Headers = unboxed[V](b.New.Value), b.Timestamp, b.Headers
	j.metadata = processor.Metadata{Topic: b.Topic, Partition: b.Partition, Offset: b.Offset}
	j.waited.Key, err = decodeKey(j.buffer.keys.serde, key)
	return err
}

func decodeKey[K any](keys serde.Serde[K], data []byte) (key K, err error) {
	defer graph.Guard(&err)
	return keys.Decode(data)
}

// joinBuffer has the records that wait in a join. They are cells of a store. An index in
// memory has their keys in order of timestamp, key and arrival.
type joinBuffer[K any] struct {
	cells *engine.Cells[BufferedKey[K], Buffered]
	index *engine.TimeIndex
	keys  keyEncoder[K]
	time  *processor.Timestamp // the largest timestamp of a record that was added
	grace int64
	seq   uint32
}

// delayStore is what a store's instance must be for a joinBuffer.
type delayStore[K any] interface {
	cellStore[BufferedKey[K], Buffered]

	NewTimeIndex() *engine.TimeIndex
}

func openBuffer[K any](t graph.Task, n *graph.Node, store string, keys serde.Serde[K], grace int64) (*joinBuffer[K], error) {
	s, err := storeOf[delayStore[K]](t, store)
	if err != nil {
		return nil, err
	}
	b := &joinBuffer[K]{
		cells: s.Cells(), index: s.NewTimeIndex(), keys: keyEncoder[K]{serde: keys}, time: t.Time(store), grace: grace,
	}
	t.OnClose(n, func() error { b.index.Close(); return nil })
	if !t.EveryUpdate() {
		b.cells.KeepOld() // most records come and go between two commits
	}
	return b, b.find()
}

// find enters the records that wait in a store which was opened. The buffer's time has
// reached their timestamps.
func (b *joinBuffer[K]) find() error {
	for row, err := range b.cells.Range(nil, nil, false) {
		if err != nil {
			return err
		}
		at, seq, err := numbersOf(row.KeyBytes)
		if err != nil {
			return err
		}
		b.index.Add(at, append([]byte(nil), row.KeyBytes...))
		b.seq = max(b.seq, seq)
		*b.time = max(*b.time, processor.Timestamp(at))
	}
	return nil
}

// until is the largest timestamp of a record that has waited long enough.
func (b *joinBuffer[K]) until() int64 { return earlier(int64(*b.time), b.grace) }

// add adds a record. encoding is the encoding of the key, or nil. An error of the store
// is a graph.Final.
func (b *joinBuffer[K]) add(key K, encoding []byte, waits Buffered, origin engine.Origin) error {
	encoding, err := b.keys.bytes(encoding, key)
	if err != nil {
		return err
	}
	b.seq = nextBuffered(b.seq)
	at := int64(waits.Timestamp)
	data := appendBuffered(make([]byte, 0, bufferedPrefix+len(encoding)+bufferedSeq), at, encoding, b.seq)
	if _, err := b.cells.Put(data, BufferedKey[K]{}, waits, true, at, origin); err != nil {
		return graph.Final(err)
	}
	b.index.Add(at, data)
	*b.time = max(*b.time, waits.Timestamp)
	return nil
}
