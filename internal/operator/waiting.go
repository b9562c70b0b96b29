package operator

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Waiting are records of one side of a join of two streams that wait for a partner. They
// have the same key and timestamp. The list of the other side is empty.
type Waiting[A, B any] struct {
	Left  []A
	Right []B
}

// WaitingKey is the key of a Waiting.
type WaitingKey[K any] struct {
	At    processor.Timestamp
	Right bool // the side
	Key   K
}

// WaitingKeys encodes the keys of waiting records, in the format of Kafka Streams'
// TimestampedKeyAndJoinSideSerializer:
//
//	[8B timestamp][1B side: 1 is left, 0 is right][key]
func WaitingKeys[K any](keys serde.Serde[K]) serde.Serde[WaitingKey[K]] { return waitingKeys[K]{keys} }

type waitingKeys[K any] struct{ keys serde.Serde[K] }

const (
	waitingPrefix = 9 // bytes in front of the key
	leftSide      = 1
	rightSide     = 0
)

func sideOf(right bool) byte {
	if right {
		return rightSide
	}
	return leftSide
}

// appendWaitingPrefix appends the part of an encoded key that comes before the key.
func appendWaitingPrefix(dst []byte, at int64, right bool) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(at)), sideOf(right))
}

// splitWaiting returns the parts of an encoded key.
func splitWaiting(data []byte) (at int64, right bool, key []byte, err error) {
	if len(data) < waitingPrefix || data[8] > leftSide {
		return 0, false, nil, fmt.Errorf("the key %q is not the key of a record that waits in a join", data)
	}
	return int64(binary.BigEndian.Uint64(data)), data[8] == rightSide, data[waitingPrefix:], nil
}

func (s waitingKeys[K]) Append(dst []byte, k WaitingKey[K]) ([]byte, error) {
	return s.keys.Append(appendWaitingPrefix(dst, int64(k.At), k.Right), k.Key)
}

func (s waitingKeys[K]) Decode(data []byte) (k WaitingKey[K], err error) {
	at, right, key, err := splitWaiting(data)
	if err != nil {
		return k, err
	}
	k.At, k.Right = processor.Timestamp(at), right
	k.Key, err = s.keys.Decode(key)
	return k, err
}

func (s waitingKeys[K]) String() string { return "waiting(" + serde.Name(s.keys) + ")" }

func (s waitingKeys[K]) FormatName() string { return "waiting(" + serde.FormatName(s.keys) + ")" }

// WaitingValues encodes waiting records, in the format of Kafka Streams' ListSerializer
// of LeftOrRightValueSerializer: a byte 1, the number of records, and for each of them
// its length in bytes, its side and its value.
//
//	[1B 1][4B number]([4B length][1B side][value])*
func WaitingValues[A, B any](left serde.Serde[A], right serde.Serde[B]) serde.Serde[Waiting[A, B]] {
	return waitingValues[A, B]{left, right}
}

type waitingValues[A, B any] struct {
	left  serde.Serde[A]
	right serde.Serde[B]
}

func (s waitingValues[A, B]) Append(dst []byte, w Waiting[A, B]) (_ []byte, err error) {
	dst = append(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(w.Left)+len(w.Right)))
	for _, v := range w.Left {
		if dst, err = appendSided(dst, leftSide, s.left, v); err != nil {
			return nil, err
		}
	}
	for _, v := range w.Right {
		if dst, err = appendSided(dst, rightSide, s.right, v); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendSided[V any](dst []byte, side byte, values serde.Serde[V], v V) ([]byte, error) {
	at := len(dst)
	dst, err := values.Append(append(dst, 0, 0, 0, 0, side), v)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst, nil
}

func (s waitingValues[A, B]) Decode(data []byte) (w Waiting[A, B], err error) {
	if len(data) < 5 || data[0] != 1 {
		return w, fmt.Errorf("%d bytes are not a list of records that wait in a join", len(data))
	}
	n := binary.BigEndian.Uint32(data[1:])
	for data = data[5:]; n > 0; n-- {
		if len(data) < 5 || uint64(binary.BigEndian.Uint32(data)) > uint64(len(data)-4) || binary.BigEndian.Uint32(data) == 0 {
			return w, fmt.Errorf("the list of records that wait in a join is cut off")
		}
		one := data[4 : 4+binary.BigEndian.Uint32(data)]
		data = data[4+len(one):]
		if err = s.decodeOne(&w, one); err != nil {
			return w, err
		}
	}
	if len(data) > 0 {
		return w, fmt.Errorf("%d bytes follow the list of records that wait in a join", len(data))
	}
	return w, nil
}

func (s waitingValues[A, B]) decodeOne(w *Waiting[A, B], data []byte) error {
	if data[0] > leftSide {
		return fmt.Errorf("the list of records that wait in a join has a record of the unknown side %d", data[0])
	}
	if data[0] == leftSide {
		v, err := s.left.Decode(data[1:])
		w.Left = append(w.Left, v)
		return err
	}
	v, err := s.right.Decode(data[1:])
	w.Right = append(w.Right, v)
	return err
}

func (s waitingValues[A, B]) String() string {
	return "waiting(" + serde.Name(s.left) + ", " + serde.Name(s.right) + ")"
}

func (s waitingValues[A, B]) FormatName() string {
	return "waiting(" + serde.FormatName(s.left) + ", " + serde.FormatName(s.right) + ")"
}
