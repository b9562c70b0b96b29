package topology

import (
	"fmt"
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// windowInstance keeps a row for each key and window.
type windowInstance[K, V, A any] struct {
	instance
	keys        serde.Serde[K]
	add         adder[K, V, A]
	absent      absence[A]
	span        span
	dropAbsent  bool // records without a value are dropped
	everyUpdate bool

	store      windowCellStore[K, A]
	cells      *engine.Cells[K, A]
	streamTime *processor.Timestamp // largest timestamp that has reached the operator
	key, row   []byte               // scratch
	out        graph.Record[serde.Windowed[K], A]
	next       graph.Receiver[serde.Windowed[K], A]
}

// windowCellStore is what the instances of window stores are besides. Its cells hide nothing and refuse nothing: what is late is the
// operator's to say. The Key of a cell is the key without the window.
type windowCellStore[K, A any] interface {
	cellStore[K, A]

	// AppendKey appends the key of the cell of a key and a window start. Start returns the start in one.
	AppendKey(dst, key []byte, start int64) []byte
	Start(cellKey []byte) int64

	// Observe tells the start of a row that is written, by which older rows expire.
	Observe(start int64)
}

func newWindowInstance[K, V, A any](i instance, w windowInstance[K, V, A], store string) (*windowInstance[K, V, A], error) {
	w.instance = i
	s, err := storeOf[windowCellStore[K, A]](i.task, store)
	if err != nil {
		return nil, err
	}
	w.store, w.streamTime = s, i.task.Time(i.node.Name)
	if !w.everyUpdate {
		if w.absent.expressible() {
			s.Cells().KeepOld()
		}
		i.task.OnFlush(i.node, w.flush)
	}
	w.cells = s.Cells()
	return &w, nil
}

func (w *windowInstance[K, V, A]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey {
		w.drop(nullKey)
		return nil
	}
	if r.NoValue && w.dropAbsent {
		w.drop(nullValue)
		return nil
	}
	// The record that is judged moves stream time first.
	*w.streamTime = max(*w.streamTime, r.Timestamp)
	key, err := w.keyOf(r)
	if err != nil {
		_, failure := w.failed(err, nil)
		return failure
	}
	first, last, step := w.span.starts(int64(r.Timestamp))
	for start := first; start <= last; start += step {
		if dropped, err := w.receive(r, key, start); dropped || err != nil {
			return err
		}
		if start > math.MaxInt64-step {
			break
		}
	}
	return nil
}

func (w *windowInstance[K, V, A]) keyOf(r *graph.Record[K, V]) (key []byte, err error) {
	defer graph.Guard(&err)
	if r.KeyBytes != nil {
		return r.KeyBytes, nil
	}
	if w.key, err = w.keys.Append(w.key[:0], r.Key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return w.key, nil
}

// receive takes the record into one window. After an error of the user's the record is dropped: the windows before keep it, those that follow do not get
// it, so that the error policy is asked, and a dead letter written, once for each record.
func (w *windowInstance[K, V, A]) receive(r *graph.Record[K, V], key []byte, start int64) (dropped bool, failure error) {
	if w.span.closed(w.span.end(start), int64(*w.streamTime)) {
		w.drop(lateRecord)
		return false, nil
	}
	broken, err := w.update(r, key, start)
	if broken != nil {
		return true, w.broken(broken)
	}
	if err != nil {
		_, failure := w.failed(err, nil)
		return true, failure
	}
	if !w.everyUpdate {
		return false, nil
	}
	return false, w.next.Receive(&w.out)
}

// update folds the record into its row of one window, and sets out. broken is an error of the store, err one of the user's functions.
func (w *windowInstance[K, V, A]) update(r *graph.Record[K, V], key []byte, start int64) (broken, err error) {
	defer graph.Guard(&err)
	w.row = w.store.AppendKey(w.row[:0], key, start)
	cell, broken := w.cells.Load(w.row, r.Key)
	if broken != nil {
		return broken, nil
	}
	at := int64(r.Timestamp)
	if cell.Present {
		at = max(at, cell.Timestamp)
	}
	value, err := w.add(cell.Value, cell.Present, r)
	if err != nil {
		return nil, err
	}
	present := !w.absent.is(value)
	w.store.Observe(start)
	if broken := w.cells.Set(cell, value, present, loggedAt(at, present, r), originOf(&w.instance, r)); broken != nil {
		return broken, nil
	}
	if w.everyUpdate {
		setRow(&w.out, w.windowed(r.Key, start), nil, value, present, at)
		w.out.Headers = r.Headers
	}
	return nil, nil
}

func (w *windowInstance[K, V, A]) windowed(key K, start int64) serde.Windowed[K] {
	return serde.Windowed[K]{Key: key, Window: serde.Window{Start: start, End: w.span.end(start)}}
}

// flush forwards the rows that have changed since the last commit.
func (w *windowInstance[K, V, A]) flush() error {
	for cell := range w.cells.Dirty() {
		if skip, err := unchanged(w.cells, cell); err != nil || skip {
			if err != nil {
				return w.broken(err)
			}
			continue
		}
		setRow(&w.out, w.windowed(cell.Key, w.store.Start(cell.KeyBytes())), nil, cell.Value, cell.Present, cell.Timestamp)
		w.out.Headers = w.flushing(w.cells.Origin(cell))
		if err := w.next.Receive(&w.out); err != nil {
			return err
		}
	}
	return nil
}

// setRow sets out to an update of a row; the headers are left to the caller.
func setRow[K, A any](out *graph.Record[K, A], key K, keyBytes []byte, value A, present bool, at int64) {
	out.Key, out.KeyBytes, out.Timestamp = key, keyBytes, processor.Timestamp(at)
	if out.NoValue = !present; present {
		out.Value = value
		return
	}
	var none A
	out.Value = none
}
