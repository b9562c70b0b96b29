package batch

import (
	"encoding/binary"
	"errors"

	"github.com/millrace-streams/millrace/serde"
)

// paneKey is the key of a row in the store of an aggregation: the pane, which is the batch by its end, and the bytes of the row's key. So a store is in order of panes,
// and a pane in order of the keys' bytes.
type paneKey struct {
	pane int64
	key  []byte
}

type paneKeySerde struct{}

var errPaneKey = errors.New("not the key of a batch's row")

func (paneKeySerde) Append(dst []byte, k paneKey) ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(dst, uint64(k.pane)), k.key...), nil
}

func (paneKeySerde) Decode(data []byte) (paneKey, error) {
	if len(data) < 8 {
		return paneKey{}, errPaneKey
	}
	return paneKey{pane: int64(binary.BigEndian.Uint64(data)), key: append([]byte{}, data[8:]...)}, nil
}

func (paneKeySerde) String() string { return "pane key" }

// total is the running total of a key in a window.
type total[A any] struct {
	count int64   // of the panes in the window that have a row of the key
	panes []int64 // which they are, oldest first; nil if there is an inverse, which does not need them
	value A
}

// runningSerde writes [8B count], [8B pane] for each pane unless there is an inverse, and the value.
type runningSerde[A any] struct {
	counted bool // there is an inverse
	value   serde.Serde[A]
}

// String says what is written, so that a window that gets an inverse, or loses it, is refused at start instead of misread.
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
