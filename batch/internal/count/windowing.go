package count

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/state"
)

// windowing is a window in a counting task.
//
// The totals have the panes with left < end <= entered. Both are -1 at first.
type windowing[K, A any] struct {
	*Window[K, A]
	marks   *closing.Watermarks
	store   state.KeyValueStore[[]byte, total[A]]
	entered int64
	left    int64
}

// load reads which panes the totals have: [8B entered][8B left].
func (w *windowing[K, A]) load() error {
	row, ok, err := w.marks.Note(w.Name())
	if err != nil || !ok {
		return err
	}
	if len(row) != 16 {
		return fmt.Errorf("the progress of window %s cannot be read", w.Name())
	}
	w.entered, w.left = int64(binary.BigEndian.Uint64(row)), int64(binary.BigEndian.Uint64(row[8:]))
	return nil
}

func (w *windowing[K, A]) save() error {
	return w.marks.SetNote(w.Name(), append(wire.BE64(w.entered), wire.BE64(w.left)...))
}

// totals yields the rows of the window.
func (w *windowing[K, A]) totals(_ wire.Span, cursor []byte, yield func([]byte, A) bool) error {
	all := w.store.All()
	if cursor != nil {
		all = w.store.From(cursor)
	}
	for e, err := range all {
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
