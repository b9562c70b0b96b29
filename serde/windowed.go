package serde

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// TimeWindowed encodes keys of time windows. The encoding is the encoded key, followed by
// the start of the window in eight bytes, big endian. The format is that of Kafka
// Streams' TimeWindowedSerializer. It is used in topics; the changelog of a window store
// has four more bytes.
//
// The end of the window is not written. Decode computes it from size, which must be the
// size of the windows in the topic. If the sum exceeds math.MaxInt64, the end is
// math.MaxInt64. size is one of:
//
//   - a positive number of whole milliseconds;
//   - math.MaxInt64, the longest Duration, which stands for windows without end.
//
// With any other size, every use of the serde returns an error.
//
// A negative start is an error in both directions, as in Java. The result is
// [Partitioned] by the encoding of the key alone. The result is [Optional] if inner is: a
// windowed key is absent if the key inside it is.
func TimeWindowed[K any](inner Serde[K], size time.Duration) Serde[Windowed[K]] {
	f := timeWindowFormat{size: size}
	if o, ok := inner.(Optional[K]); ok {
		return optionalWindowed[K, timeWindowFormat]{windowed[K, timeWindowFormat]{inner, f}, o}
	}
	return windowed[K, timeWindowFormat]{inner, f}
}

// SessionWindowed encodes keys of session windows. The encoding is the encoded key,
// followed by the end of the window and then its start, each in eight bytes, big endian.
// The format is that of Kafka Streams' SessionWindowedSerializer. In both directions, a
// negative start is an error, and so is an end before the start. The result is
// [Partitioned] and [Optional] under the same rules as the result of [TimeWindowed].
func SessionWindowed[K any](inner Serde[K]) Serde[Windowed[K]] {
	if o, ok := inner.(Optional[K]); ok {
		return optionalWindowed[K, sessionWindowFormat]{windowed[K, sessionWindowFormat]{inner: inner}, o}
	}
	return windowed[K, sessionWindowFormat]{inner: inner}
}

// A windowFormat encodes a window after the key.
type windowFormat interface {
	length() int
	append(dst []byte, w Window) ([]byte, error)
	decode(data []byte) (Window, error) // data has the length that length returns
	name() string
}

type windowed[K any, F windowFormat] struct {
	inner  Serde[K]
	format F
}

func (s windowed[K, F]) Append(dst []byte, v Windowed[K]) ([]byte, error) {
	out, err := s.AppendPartitionKey(dst, v)
	if err != nil {
		return dst, err
	}
	if out, err = s.format.append(out, v.Window); err != nil {
		return dst, fmt.Errorf("%s: %w", s, err)
	}
	return out, nil
}

func (s windowed[K, F]) Decode(data []byte) (Windowed[K], error) {
	n := len(data) - s.format.length()
	if n < 0 {
		return Windowed[K]{}, fmt.Errorf("%s: want at least %d bytes, have %d", s, s.format.length(), len(data))
	}
	window, err := s.format.decode(data[n:])
	if err != nil {
		return Windowed[K]{}, fmt.Errorf("%s: %w", s, err)
	}
	// The capacity ends with the key, so that an inner serde cannot reach the window's
	// bytes.
	key, err := s.inner.Decode(data[:n:n])
	if err != nil {
		return Windowed[K]{}, fmt.Errorf("%s: key: %w", s, err)
	}
	return Windowed[K]{Key: key, Window: window}, nil
}

// AppendPartitionKey appends the encoding of the key without the window.
func (s windowed[K, F]) AppendPartitionKey(dst []byte, v Windowed[K]) ([]byte, error) {
	out, err := s.inner.Append(dst, v.Key)
	if err != nil {
		return dst, fmt.Errorf("%s: key: %w", s, err)
	}
	return out, nil
}

// Inner returns the serde of the key without the window. It is for packages that do not
// know the type of the key.
func (s windowed[K, F]) Inner() any { return s.inner }

func (s windowed[K, F]) String() string { return s.format.name() + " " + Name(s.inner) }

func (s windowed[K, F]) FormatName() string { return s.format.name() + " " + FormatName(s.inner) }

type optionalWindowed[K any, F windowFormat] struct {
	windowed[K, F]
	optional Optional[K]
}

func (s optionalWindowed[K, F]) Absent(v Windowed[K]) bool { return s.optional.Absent(v.Key) }

type timeWindowFormat struct {
	size time.Duration
}

func (timeWindowFormat) length() int { return 8 }

func (f timeWindowFormat) name() string {
	if f.size == math.MaxInt64 {
		return "time-windowed (unlimited)"
	}
	return fmt.Sprintf("time-windowed (%v)", f.size)
}

func (f timeWindowFormat) append(dst []byte, w Window) ([]byte, error) {
	if err := f.check(w.Start); err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(dst, uint64(w.Start)), nil
}

func (f timeWindowFormat) decode(data []byte) (Window, error) {
	start := int64(binary.BigEndian.Uint64(data))
	if err := f.check(start); err != nil {
		return Window{}, err
	}
	return Window{Start: start, End: f.end(start)}, nil
}

func (f timeWindowFormat) end(start int64) int64 {
	if f.size == math.MaxInt64 || start > math.MaxInt64-f.size.Milliseconds() {
		return math.MaxInt64
	}
	return start + f.size.Milliseconds()
}

func (f timeWindowFormat) check(start int64) error {
	if f.size == math.MaxInt64 || f.size > 0 && f.size%time.Millisecond == 0 {
		return checkStart(start)
	}
	return fmt.Errorf("window size %v: want a positive number of whole milliseconds", f.size)
}

type sessionWindowFormat struct{}

func (sessionWindowFormat) length() int { return 16 }

func (sessionWindowFormat) name() string { return "session-windowed" }

func (sessionWindowFormat) append(dst []byte, w Window) ([]byte, error) {
	if err := checkSession(w); err != nil {
		return nil, err
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.End))
	return binary.BigEndian.AppendUint64(dst, uint64(w.Start)), nil
}

func (sessionWindowFormat) decode(data []byte) (Window, error) {
	w := Window{
		End:   int64(binary.BigEndian.Uint64(data)),
		Start: int64(binary.BigEndian.Uint64(data[8:])),
	}
	if err := checkSession(w); err != nil {
		return Window{}, err
	}
	return w, nil
}

func checkSession(w Window) error {
	if w.End < w.Start {
		return fmt.Errorf("session ends at %d, before its start at %d", w.End, w.Start)
	}
	return checkStart(w.Start)
}

func checkStart(start int64) error {
	if start < 0 {
		return fmt.Errorf("negative window start %d", start)
	}
	return nil
}
