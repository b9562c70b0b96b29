package operator

import (
	"fmt"
	"unsafe"

	"github.com/millrace-streams/millrace/serde"
)

// arena returns slices whose bytes are never written again. It cuts the slices from a
// chunk, and the receiver owns its slice. A task sends many small keys and values, so
// most slices share an allocation.
type arena struct {
	chunk []byte // chunk[len:cap] is free
}

const (
	firstChunk = 1 << 10
	lastChunk  = 64 << 10
)

// copy returns a copy of data.
func (a *arena) copy(data []byte) []byte {
	if cap(a.chunk)-len(a.chunk) < len(data) {
		if len(data) > lastChunk/8 {
			return append(make([]byte, 0, len(data)), data...)
		}
		a.grow(len(data))
	}
	return a.cut(append(a.chunk[len(a.chunk):], data...))
}

// encodeTo returns the encoding of v, never nil.
func encodeTo[T any](a *arena, s serde.Serde[T], v T) ([]byte, error) {
	if cap(a.chunk)-len(a.chunk) < 64 {
		a.grow(64)
	}
	out, err := s.Append(a.chunk[len(a.chunk):len(a.chunk):cap(a.chunk)], v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return a.cut(out), nil
}

// cut takes the appended bytes from the chunk. If the chunk was too small, out is already
// a separate slice.
func (a *arena) cut(out []byte) []byte {
	if out == nil {
		return []byte{}
	}
	start := len(a.chunk)
	if cap(out) == 0 || unsafe.SliceData(out) != unsafe.SliceData(a.chunk[start:cap(a.chunk)]) {
		if len(out) <= lastChunk/8 {
			a.grow(len(out))
		}
		return out
	}
	a.chunk = a.chunk[:start+len(out)]
	return out[:len(out):len(out)]
}

// grow starts a chunk with room for n bytes. Chunks begin small and double up to a limit,
// because most nodes of most tasks send little.
func (a *arena) grow(n int) {
	size := min(max(2*cap(a.chunk), firstChunk), lastChunk)
	a.chunk = make([]byte, 0, max(size, n))
}
