package operator

import (
	"bytes"
	"math"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// waitingRecords are the records of a join that have not met a partner and whose time is
// not over. They lie in a store, by timestamp, side and key.
type waitingRecords[K, A, B any] struct {
	cells *engine.Cells[WaitingKey[K], Waiting[A, B]]
	// A lower bound of the timestamps of the side's waiting records.
	left, right int64
	// A record's time is over when stream time is later by more than this.
	leftBack, rightBack int64
	key                 []byte
}

// nobody is the smallest timestamp of a side without waiting records.
const nobody = math.MaxInt64

// find initialises left and right from the store's rows.
func (w *waitingRecords[K, A, B]) find() error {
	w.left, w.right = nobody, nobody
	for row, err := range w.cells.Range(nil, nil, false) {
		if err != nil {
			return err
		}
		at, _, _, err := splitWaiting(row.KeyBytes)
		w.left, w.right = at, at
		return err
	}
	return nil
}

// load returns the cell of a side's records.
func (w *waitingRecords[K, A, B]) load(at int64, right bool, key []byte) (*engine.Cell[WaitingKey[K], Waiting[A, B]], error) {
	w.key = append(appendWaitingPrefix(w.key[:0], at, right), key...)
	// Nothing reads the decoded key of a cell: the encoded key has the same facts.
	return w.cells.Load(w.key, WaitingKey[K]{At: processor.Timestamp(at), Right: right})
}

// remove removes the records of a side with a key and timestamp, if there are any. now is
// the timestamp of the record that was their partner.
func (w *waitingRecords[K, A, B]) remove(at int64, right bool, key []byte, origin engine.Origin, now int64) error {
	least := w.left
	if right {
		least = w.right
	}
	if at < least {
		return nil
	}
	cell, err := w.load(at, right, key)
	if err != nil || !cell.Present {
		return err
	}
	return w.cells.Set(cell, Waiting[A, B]{}, false, now, origin)
}

// waiter adds waiting records of a side. The side itself uses it.
type waiter[K, V any] interface {
	add(r *graph.Record[K, V], key []byte, origin engine.Origin) error
}

// waited removes waiting records of a side. The other side uses it.
type waited interface {
	remove(key []byte, at int64, origin engine.Origin, now int64) error
}

type leftWaiting[K, A, B any] struct{ all *waitingRecords[K, A, B] }

func (l leftWaiting[K, A, B]) add(r *graph.Record[K, A], key []byte, origin engine.Origin) error {
	at := int64(r.Timestamp)
	cell, err := l.all.load(at, false, key)
	if err != nil {
		return err
	}
	l.all.left = min(l.all.left, at)
	return l.all.cells.Set(cell, Waiting[A, B]{Left: append(cell.Value.Left, r.Value)}, true, at, origin)
}

func (l leftWaiting[K, A, B]) remove(key []byte, at int64, origin engine.Origin, now int64) error {
	return l.all.remove(at, false, key, origin, now)
}

type rightWaiting[K, A, B any] struct{ all *waitingRecords[K, A, B] }

func (r rightWaiting[K, A, B]) add(in *graph.Record[K, B], key []byte, origin engine.Origin) error {
	at := int64(in.Timestamp)
	cell, err := r.all.load(at, true, key)
	if err != nil {
		return err
	}
	r.all.right = min(r.all.right, at)
	return r.all.cells.Set(cell, Waiting[A, B]{Right: append(cell.Value.Right, in.Value)}, true, at, origin)
}

func (r rightWaiting[K, A, B]) remove(key []byte, at int64, origin engine.Origin, now int64) error {
	return r.all.remove(at, true, key, origin, now)
}

// dueRecord is the encoded key of a Waiting whose time is over.
type dueRecord struct{ key []byte }

// passedOver bounds how many records of the other side are read in the search for a
// side's next record. If the two sides wait for different times, many may lie in between.
const passedOver = 16

// due appends the keys of a side's records whose time is over, and finds the side's next
// record.
func (w *waitingRecords[K, A, B]) due(dst []dueRecord, right bool, streamTime int64) ([]dueRecord, error) {
	least, back := &w.left, w.leftBack
	if right {
		least, back = &w.right, w.rightBack
	}
	if *least == nobody || later(*least, back) >= streamTime {
		return dst, nil
	}
	from := appendWaitingPrefix(nil, *least, true) // the smaller of the two sides
	*least = nobody
	passed := 0
	for row, err := range w.cells.Range(from, nil, false) {
		if err != nil {
			return dst, err
		}
		at, side, _, err := splitWaiting(row.KeyBytes)
		if err != nil {
			return dst, err
		}
		open := later(at, back) >= streamTime
		if open && (side == right || passed == passedOver) {
			*least = at
			return dst, nil
		}
		switch {
		case side == right:
			dst = append(dst, dueRecord{bytes.Clone(row.KeyBytes)})
		case open:
			passed++
		}
	}
	return dst, nil
}

// sendWaiting sends the results of the waiting records whose time is over, in order of
// timestamp, side (right first) and key. They have the headers of the record that moved
// stream time.
func (j *windowJoin[K, A, B, R]) sendWaiting(headers processor.Headers) error {
	var err error
	at := int64(*j.streamTime)
	if j.due, err = j.waiting.due(j.due[:0], false, at); err != nil {
		return j.broken(err)
	}
	lefts := len(j.due)
	if j.due, err = j.waiting.due(j.due, true, at); err != nil {
		return j.broken(err)
	}
	if lefts > 0 && lefts < len(j.due) {
		slices.SortFunc(j.due, func(a, b dueRecord) int { return bytes.Compare(a.key, b.key) })
	}
	for _, d := range j.due {
		if err := j.sendDue(d.key, headers); err != nil {
			return err
		}
	}
	return nil
}

func (j *windowJoin[K, A, B, R]) sendDue(data []byte, headers processor.Headers) error {
	at, right, key, err := splitWaiting(data)
	if err != nil {
		return j.broken(err)
	}
	cell, err := j.waiting.load(at, right, key)
	if err != nil {
		return j.broken(err)
	}
	records := cell.Value
	if err := j.waiting.cells.Set(cell, Waiting[A, B]{}, false, int64(*j.streamTime), j.origin(headers)); err != nil {
		return j.broken(err)
	}
	j.out.KeyBytes, j.out.NoKey = key, false
	if j.out.Key, err = j.decodeKey(key); err != nil {
		return j.broken(err)
	}
	for _, v := range records.Left {
		j.out.Timestamp, j.out.Headers = processor.Timestamp(at), headers
		if err := j.left.sendValueAlone(v); err != nil {
			return err
		}
	}
	for _, v := range records.Right {
		j.out.Timestamp, j.out.Headers = processor.Timestamp(at), headers
		if err := j.right.sendValueAlone(v); err != nil {
			return err
		}
	}
	return nil
}

func (j *windowJoin[K, A, B, R]) decodeKey(data []byte) (key K, err error) {
	defer graph.Guard(&err)
	return j.keys.serde.Decode(data)
}
