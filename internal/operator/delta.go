package operator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/serde"
)

// Delta is the change of a group by an update of a table: a value is removed, a value is
// added, or both.
type Delta[V any] struct {
	Old, New       V
	HasOld, HasNew bool
}

// deltas is the serde of deltas. The format is that of Kafka Streams' ChangedSerializer
// (KIP-904): the last byte says what is in front of it.
//
//	old 00                      a value goes
//	new 01                      a value comes
//	length-of-new new old 02    both; the length is a zigzag varint
//
// Kafka Streams also writes 03, 04 and 05, which are 00, 01 and 02 with one more byte in
// front of the last: whether the update is the latest of a versioned table.
type deltas[V any] struct{ inner serde.Serde[V] }

// Deltas returns the serde of deltas for a serde of values.
func Deltas[V any](inner serde.Serde[V]) serde.Serde[Delta[V]] { return deltas[V]{inner} }

const (
	onlyOld = iota
	onlyNew
	oldAndNew
	latestOnlyOld // with a byte that says whether it is the latest
	latestOnlyNew
	latestOldAndNew
)

var errEmptyDelta = errors.New("the update neither removes nor adds a value")

func (s deltas[V]) Append(dst []byte, d Delta[V]) ([]byte, error) {
	switch {
	case d.HasOld && d.HasNew:
		return s.appendBoth(dst, d)
	case d.HasOld:
		return s.appendOne(dst, d.Old, onlyOld)
	case d.HasNew:
		return s.appendOne(dst, d.New, onlyNew)
	}
	return nil, errEmptyDelta
}

func (s deltas[V]) appendOne(dst []byte, v V, flag byte) ([]byte, error) {
	dst, err := s.inner.Append(dst, v)
	return append(dst, flag), err
}

func (s deltas[V]) appendBoth(dst []byte, d Delta[V]) ([]byte, error) {
	value, err := s.inner.Append(nil, d.New)
	if err != nil {
		return nil, err
	}
	dst = binary.AppendVarint(dst, int64(len(value)))
	return s.appendOne(append(dst, value...), d.Old, oldAndNew)
}

func (s deltas[V]) Decode(data []byte) (d Delta[V], err error) {
	if len(data) == 0 {
		return d, errors.New("an update of a table is empty")
	}
	flag, rest := data[len(data)-1], data[:len(data)-1]
	if flag >= latestOnlyOld && flag <= latestOldAndNew {
		if len(rest) == 0 {
			return d, fmt.Errorf("an update of a table ends with %d and has no value before it", flag)
		}
		flag, rest = flag-latestOnlyOld, rest[:len(rest)-1]
	}
	switch flag {
	case onlyOld:
		d.HasOld = true
		d.Old, err = s.inner.Decode(rest)
	case onlyNew:
		d.HasNew = true
		d.New, err = s.inner.Decode(rest)
	case oldAndNew:
		return s.decodeBoth(rest)
	default:
		err = fmt.Errorf("an update of a table ends with %d, which is not a format of Kafka Streams", flag)
	}
	return d, err
}

func (s deltas[V]) decodeBoth(data []byte) (d Delta[V], err error) {
	size, n := binary.Varint(data)
	if n <= 0 || size < 0 || size > int64(len(data)-n) {
		return d, fmt.Errorf("an update of a table announces a new value of %d bytes, but has %d bytes in all", size, len(data))
	}
	value, old := data[n:n+int(size)], data[n+int(size):]
	d.HasOld, d.HasNew = true, true
	if d.New, err = s.inner.Decode(value); err != nil {
		return d, err
	}
	d.Old, err = s.inner.Decode(old)
	return d, err
}

func (s deltas[V]) String() string     { return "updates of " + serde.Name(s.inner) }
func (s deltas[V]) FormatName() string { return "updates of " + serde.FormatName(s.inner) }
