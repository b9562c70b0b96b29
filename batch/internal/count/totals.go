package count

import (
	"encoding/binary"
	"errors"

	"github.com/millrace-streams/millrace/serde"
)

// total is the running total of a key in a window.
type total[A any] struct {
	count int64   // of the panes in the window that have a row of the key
	panes []int64 // the ends of these panes, oldest first; nil if there is an inverse
	value A
}

// totalSerde encodes a total as [8B count], [8B pane] for each pane unless there is an
// inverse, and the value. Numbers are big-endian.
type totalSerde[A any] struct {
	counted bool // there is an inverse
	value   serde.Serde[A]
}

// String tells the two encodings apart. If a window gets or loses an inverse, the
// application is refused at start, and its totals are not misread.
func (s totalSerde[A]) String() string {
	if s.counted {
		return "totals of a window with an inverse"
	}
	return "totals of a window"
}

var errTotal = errors.New("not the total of a window")

func (s totalSerde[A]) Append(dst []byte, t total[A]) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.count))
	for _, p := range t.panes {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p))
	}
	return s.value.Append(dst, t.value)
}

func (s totalSerde[A]) Decode(data []byte) (t total[A], err error) {
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
