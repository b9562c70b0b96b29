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

// least returns the lower bound of the timestamps of a side's waiting records.
func (w *waitingRecords[K, A, B]) least(right bool) *int64 {
	if right {
		return &w.right
	}
	return &w.left
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
	if at < *w.least(right) {
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

// sideWaiting is one side's waiting records. V is the type of the side's values.
type sideWaiting[K, V, A, B any] struct {
	all   *waitingRecords[K, A, B]
	right bool
	with  func(list Waiting[A, B], v V) Waiting[A, B] // the list with one more value
}

func withLeft[A, B any](list Waiting[A, B], v A) Waiting[A, B] {
	return Waiting[A, B]{Left: append(list.Left, v)}
}

func withRight[A, B any](list Waiting[A, B], v B) Waiting[A, B] {
	return Waiting[A, B]{Right: append(list.Right, v)}
}

func (s sideWaiting[K, V, A, B]) add(r *graph.Record[K, V], key []byte, origin engine.Origin) error {
	at := int64(r.Timestamp)
	cell, err := s.all.load(at, s.right, key)
	if err != nil {
		return err
	}
	least := s.all.least(s.right)
	*least = min(*least, at)
	return s.all.cells.Set(cell, s.with(cell.Value, r.Value), true, at, origin)
}

func (s sideWaiting[K, V, A, B]) remove(key []byte, at int64, origin engine.Origin, now int64) error {
	return s.all.remove(at, s.right, key, origin, now)
}

// passedOver bounds how many records of the other side are read in the search for a
// side's next record. If the two sides wait for different times, many may lie in between.
// The search begins behind all records whose time is over, so none of them is missed.
const passedOver = 16

// due appends the keys of a side's records whose time is over, and finds the side's next
// record.
func (w *waitingRecords[K, A, B]) due(dst [][]byte, right bool, streamTime int64) ([][]byte, error) {
	least, back := w.least(right), w.leftBack
	if right {
		back = w.rightBack
	}
	if *least == nobody || engine.Later(*least, back) >= streamTime {
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
		open := engine.Later(at, back) >= streamTime
		if open && (side == right || passed == passedOver) {
			*least = at
			return dst, nil
		}
		switch {
		case side == right:
			dst = append(dst, bytes.Clone(row.KeyBytes))
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
		slices.SortFunc(j.due, bytes.Compare)
	}
	for _, key := range j.due {
		if err := j.sendDue(key, headers); err != nil {
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
