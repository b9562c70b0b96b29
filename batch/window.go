package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// window is the plan of a window: a store with the running total of each key.
type window[K, A any] struct {
	h    *header
	size int64 // ms
	rows rows[K, A]
	spec state.Spec[[]byte, total[A]]
}

// total is the running total of a key in a window.
type total[A any] struct {
	count int64   // of the panes in the window that have a row of the key
	panes []int64 // which they are, oldest first; nil if there is an inverse, which does not need them
	value A
}

// runningSerde writes [8B count], [8B pane] for each pane unless there is an inverse, and
// the value.
type runningSerde[A any] struct {
	counted bool // there is an inverse
	value   serde.Serde[A]
}

// String says what is written, so that a window that gets an inverse, or loses it, is
// refused at start instead of misread.
func (s runningSerde[A]) String() string {
	if s.counted {
		return "totals of a window with an inverse"
	}
	return "totals of a window"
}

var errTotal = errors.New("not the total of a window")

func (s runningSerde[A]) Append(dst []byte, t total[A]) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.count))
	for _, p := range t.panes {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p))
	}
	return s.value.Append(dst, t.value)
}

func (s runningSerde[A]) Decode(data []byte) (t total[A], err error) {
	if len(data) < 8 {
		return t, errTotal
	}
	t.count = int64(binary.BigEndian.Uint64(data))
	data = data[8:]
	if !s.counted {
		if t.count < 0 || t.count > int64(len(data)/8) {
			return t, errTotal
		}
		t.panes = make([]int64, t.count)
		for i := range t.panes {
			t.panes[i] = int64(binary.BigEndian.Uint64(data[8*i:]))
		}
		data = data[8*t.count:]
	}
	t.value, err = s.value.Decode(data)
	return t, err
}

// windowing is a window in a counting task.
type windowing[K, A any] struct {
	w       *window[K, A]
	store   state.KeyValueStore[[]byte, total[A]]
	entered int64 // the panes up to this end are in the totals, but those
	left    int64 // up to this one; -1 at first
}

// load reads which panes the totals have: [8B entered][8B left].
func (w *windowing[K, A]) load(marks *closing.Watermarks) error {
	name := w.w.h.fullName()
	row, ok, err := marks.Note(name)
	if err != nil || !ok {
		return err
	}
	if len(row) != 16 {
		return fmt.Errorf("the progress of window %s cannot be read", name)
	}
	w.entered, w.left = int64(binary.BigEndian.Uint64(row)), int64(binary.BigEndian.Uint64(row[8:]))
	return nil
}

func (w *windowing[K, A]) save(marks *closing.Watermarks) error {
	return marks.SetNote(w.w.h.fullName(), append(wire.BE64(w.entered), wire.BE64(w.left)...))
}

// leave takes the panes out of the totals whose end is not in the window any more.
func (c *panes[K, A]) leave(w *windowing[K, A], b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	next, done, err := c.walk(w.left, min(b.To-w.w.size, w.entered), cursor, budget, func(k paneKey, v A) error {
		t, ok, err := w.store.Get(k.key)
		if err != nil || !ok {
			return err
		}
		if t.count--; t.count <= 0 {
			_, _, err = w.store.Delete(k.key)
			return err
		}
		if c.a.inverse != nil {
			t.value = c.a.inverse(t.value, v)
			return w.store.Put(k.key, t)
		}
		if t, err = c.without(t, k); err != nil {
			return err
		}
		return w.store.Put(k.key, t)
	})
	if done {
		w.left = max(w.left, b.To-w.w.size)
		err = w.save(c.t.marks)
	}
	return next, done, err
}

// without merges the panes of a key anew, except one.
func (c *panes[K, A]) without(t total[A], k paneKey) (total[A], error) {
	rest := total[A]{count: t.count}
	for _, p := range t.panes {
		if p == k.pane {
			continue
		}
		v, ok, err := c.store.Get(paneKey{p, k.key})
		if err == nil && !ok {
			err = fmt.Errorf("store %s: pane %d of a key in window %v is missing", c.store.Name(), p, t.panes)
		}
		if err != nil {
			return t, err
		}
		if len(rest.panes) > 0 {
			rest.value = c.a.merge(rest.value, v)
		} else if rest.value, err = c.clone(v); err != nil {
			return t, err
		}
		rest.panes = append(rest.panes, p)
	}
	return rest, nil
}

// enter adds the panes to the totals whose end is in the window now.
func (c *panes[K, A]) enter(w *windowing[K, A], b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	next, done, err := c.walk(max(w.entered, b.To-w.w.size), b.To, cursor, budget, func(k paneKey, v A) error {
		t, ok, err := w.store.Get(k.key)
		if err != nil {
			return err
		}
		if !ok {
			t.value, err = c.clone(v)
		} else {
			t.value = c.a.merge(t.value, v)
		}
		if err != nil {
			return err
		}
		t.count++
		if c.a.inverse == nil {
			t.panes = append(slices.Clip(t.panes), k.pane)
		}
		return w.store.Put(k.key, t)
	})
	if done {
		w.entered = b.To
		err = w.save(c.t.marks)
	}
	return next, done, err
}

// totals is the source of a window's rows.
func (w *windowing[K, A]) totals(_ wire.Span, cursor []byte, yield func([]byte, A) bool) error {
	rows := w.store.All()
	if cursor != nil {
		rows = w.store.From(cursor)
	}
	for e, err := range rows {
		if err != nil {
			return err
		}
		if cursor != nil && bytes.Equal(e.Key, cursor) {
			continue
		}
		if !yield(e.Key, e.Value.value) {
			return nil
		}
	}
	return nil
}
