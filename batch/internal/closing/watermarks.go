package closing

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/state"
)

// Progress is the store of a receiver: the markers that it has had, and how far it is
// with the batches that they have closed.
type Progress = state.KeyValueStore[[]byte, []byte]

// Watermarks is what a receiver knows from the markers of one Every: how far each sender
// has come, and which batches are to give a result.
//
// All receivers of an Every get all its markers. A batch is complete when all senders
// have passed its end. By then each sender that can call the batch live has done so.
// Therefore all receivers complete the same batches, in the same order.
type Watermarks struct {
	every string
	store Progress
	key   []byte // prefix of its rows

	closed  []int64     // by sender; -1 if nothing has come from it
	pending []wire.Span // live and not done, in order
	done    int64       // end of the last batch that is done
}

// Kinds of rows, by the byte after the prefix.
const (
	rowSender  = 't' // [4B sender] -> [8B end of what it has closed][4B of]
	rowPending = 'b' // [8B end] -> [8B start]
	rowDone    = 'd' // -> [8B end]
	rowCursor  = 'c' // see Closer
	rowNote    = 'w' // [name] -> see Note
)

// Open reads what is known of an Every. prefix distinguishes its rows in the store; every
// is its name in errors.
func Open(prefix, every string, store Progress) (*Watermarks, error) {
	w := &Watermarks{every: every, store: store, key: append([]byte(prefix), 0)}
	for e, err := range store.PrefixScan(w.key) {
		if err != nil {
			return nil, err
		}
		if err := w.load(e.Key[len(w.key):], e.Value); err != nil {
			return nil, fmt.Errorf("store %s: %w", store.Name(), err)
		}
	}
	return w, nil
}

func (w *Watermarks) load(key, value []byte) error {
	switch {
	case len(key) == 5 && key[0] == rowSender && len(value) == 12:
		w.known(int(binary.BigEndian.Uint32(value[8:])))
		if task := int(binary.BigEndian.Uint32(key[1:])); task < len(w.closed) {
			w.closed[task] = int64(binary.BigEndian.Uint64(value))
		}
	case len(key) == 9 && key[0] == rowPending && len(value) == 8:
		w.pending = append(w.pending, wire.Span{
			From: int64(binary.BigEndian.Uint64(value)), To: int64(binary.BigEndian.Uint64(key[1:])), Live: true,
		})
	case len(key) == 1 && key[0] == rowDone && len(value) == 8:
		w.done = int64(binary.BigEndian.Uint64(value))
	case len(key) > 0 && (key[0] == rowCursor || key[0] == rowNote):
	default:
		return fmt.Errorf("an unknown row, key %q", key)
	}
	return nil
}

// known makes room for n senders.
func (w *Watermarks) known(n int) {
	for len(w.closed) < n {
		w.closed = append(w.closed, -1)
	}
}

// row returns the key of a row.
func (w *Watermarks) row(kind byte, rest ...byte) []byte {
	return append(append(slices.Clone(w.key), kind), rest...)
}

// Done returns the end of the last batch that is done, 0 if there is none.
func (w *Watermarks) Done() int64 { return w.done }

// Note returns the bytes that SetNote has kept under a name; ok is false if there are
// none.
func (w *Watermarks) Note(name string) (value []byte, ok bool, err error) {
	return w.store.Get(w.row(rowNote, []byte(name)...))
}

// SetNote keeps bytes under a name, beside the watermarks.
func (w *Watermarks) SetNote(name string, value []byte) error {
	return w.store.Put(w.row(rowNote, []byte(name)...), value)
}

// Mark takes a marker.
func (w *Watermarks) Mark(m wire.Message) error {
	if n := len(w.closed); n > 0 && n != int(m.Of) {
		return fmt.Errorf("batch: Every %q: the number of sending tasks changed from %d to %d: it must not change while batches are open; "+
			"use another application ID, or reset the application", w.every, n, m.Of)
	}
	w.known(int(m.Of))
	if m.To <= w.closed[m.Task] {
		return nil // a repetition, under at-least-once
	}
	w.closed[m.Task] = m.To
	value := binary.BigEndian.AppendUint64(nil, uint64(m.To))
	value = binary.BigEndian.AppendUint32(value, uint32(m.Of))
	if err := w.store.Put(w.row(rowSender, wire.BE32(m.Task)...), value); err != nil {
		return err
	}
	if !m.Live || m.To <= w.done {
		return nil
	}
	return w.expect(m.Span)
}

// expect adds a batch that is to give a result. If senders disagree about its start,
// because the interval has changed, the earliest start holds.
func (w *Watermarks) expect(b wire.Span) error {
	i, found := slices.BinarySearchFunc(w.pending, b.To, func(p wire.Span, to int64) int { return cmp.Compare(p.To, to) })
	switch {
	case !found:
		w.pending = slices.Insert(w.pending, i, b)
	case b.From >= w.pending[i].From:
		return nil
	default:
		w.pending[i].From = b.From
	}
	return w.store.Put(w.row(rowPending, wire.BE64(b.To)...), wire.BE64(b.From))
}

// next returns the oldest batch that is complete and not done.
func (w *Watermarks) next() (wire.Span, bool) {
	if len(w.pending) == 0 || len(w.closed) == 0 || slices.Min(w.closed) < w.pending[0].To {
		return wire.Span{}, false
	}
	return w.pending[0], true
}

// finish makes the oldest batch done.
func (w *Watermarks) finish() error {
	b := w.pending[0]
	w.pending = slices.Delete(w.pending, 0, 1)
	w.done = b.To
	if _, _, err := w.store.Delete(w.row(rowPending, wire.BE64(b.To)...)); err != nil {
		return err
	}
	return w.store.Put(w.row(rowDone), wire.BE64(b.To))
}
