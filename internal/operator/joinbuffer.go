package operator

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// delayedJoin joins each record of a stream with the row that a table had at the record's
// timestamp, once the stream's time is later than the record by the grace. Until then,
// updates of the table may still come late.
type delayedJoin[K, V, V2, R any] struct {
	*streamTableJoin[K, V, V2, R]
	keys   keyEncoder[K]
	buffer *joinBuffer

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
	key, err := j.keys.bytes(r.KeyBytes, r.Key)
	if err == nil {
		err = j.buffer.add(key, j.waits(r), j.origin(nil))
	}
	if err != nil {
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
	cell, err := j.buffer.cells.Load(data, nil)
	if err != nil {
		return err
	}
	b := cell.Value
	if err := j.buffer.cells.Set(cell, Buffered{}, false, int64(now), j.origin(nil)); err != nil {
		return err
	}
	key, _, _, err := splitBuffered(data)
	if err != nil {
		return err
	}
	j.waited = graph.Record[K, V]{KeyBytes: key}
	j.waited.Value, j.waited.Timestamp, j.waited.Headers = unboxed[V](b.New.Value), b.Timestamp, b.Headers
	j.metadata = processor.Metadata{Topic: b.Topic, Partition: b.Partition, Offset: b.Offset}
	j.waited.Key, err = decodeKey(j.keys.serde, key)
	return err
}

// joinBuffer has the records that wait in a join, in order of timestamp, key and arrival.
type joinBuffer struct {
	heldRows
	// The largest timestamp of a record that was added. That record still waits, so a
	// restart finds the time in the store.
	time  int64
	grace int64
	seq   uint32
}

// openBuffer returns the buffer of a node, with the records that wait in its store.
func openBuffer(of base, store string, grace int64) (*joinBuffer, error) {
	held, err := openHeld(of, store)
	if err != nil {
		return nil, err
	}
	b := &joinBuffer{heldRows: held, time: -1, grace: grace}
	return b, b.each(b.enter)
}

// enter enters a record that waits in a store which was opened.
func (b *joinBuffer) enter(data []byte, _ Buffered) error {
	_, at, seq, err := splitBuffered(data)
	if err != nil {
		return err
	}
	b.index.Add(at, data)
	b.seq = max(b.seq, seq)
	b.time = max(b.time, at)
	return nil
}

// until is the largest timestamp of a record that has waited long enough.
func (b *joinBuffer) until() int64 { return b.time - b.grace }

// add adds a record with an encoded key. An error is a graph.Final.
func (b *joinBuffer) add(key []byte, waits Buffered, origin engine.Origin) error {
	b.seq = nextBuffered(b.seq)
	at := int64(waits.Timestamp)
	data := appendBuffered(make([]byte, 0, bufferedPrefix+len(key)+bufferedSeq), at, key, b.seq)
	if _, err := b.cells.Put(data, nil, waits, true, at, origin); err != nil {
		return graph.Final(err)
	}
	b.index.Add(at, data)
	b.time = max(b.time, at)
	return nil
}
