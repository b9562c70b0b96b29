package operator

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// BufferedKey is the key of a record that waits in a join of a stream with a table. Its
// value is a Buffered, of which the record uses the new version only.
type BufferedKey[K any] struct {
	At  processor.Timestamp
	Key K
	Seq uint32 // the number of the record, in order of arrival
}

// BufferedKeys encodes the keys of records that wait, in the format of Kafka Streams'
// PrefixedWindowKeySchemas:
//
//	[1B 0][8B timestamp][key][4B number]
func BufferedKeys[K any](keys serde.Serde[K]) serde.Serde[BufferedKey[K]] {
	return bufferedKeys[K]{keys}
}

type bufferedKeys[K any] struct{ keys serde.Serde[K] }

const (
	bufferedPrefix = 1 + 8 // bytes in front of the key
	bufferedSeq    = 4     // bytes of the number
)

// appendBuffered appends the encoding of a BufferedKey whose key is encoded.
func appendBuffered(dst []byte, at int64, key []byte, seq uint32) []byte {
	dst = append(binary.BigEndian.AppendUint64(append(dst, 0), uint64(at)), key...)
	return binary.BigEndian.AppendUint32(dst, seq)
}

// nextBuffered returns the number after another one, as Kafka Streams counts.
func nextBuffered(seq uint32) uint32 { return (seq + 1) & math.MaxInt32 }

// splitBuffered returns the parts of the encoding of a BufferedKey. key shares the memory
// of data.
func splitBuffered(data []byte) (key []byte, at int64, seq uint32, err error) {
	end := len(data) - bufferedSeq
	if end < bufferedPrefix || data[0] != 0 {
		return nil, 0, 0, fmt.Errorf("the key %q is not that of a record which waits in a join", data)
	}
	return data[bufferedPrefix:end:end], int64(binary.BigEndian.Uint64(data[1:])), binary.BigEndian.Uint32(data[end:]), nil
}

func (s bufferedKeys[K]) Append(dst []byte, k BufferedKey[K]) ([]byte, error) {
	dst, err := s.keys.Append(binary.BigEndian.AppendUint64(append(dst, 0), uint64(k.At)), k.Key)
	return binary.BigEndian.AppendUint32(dst, k.Seq), err
}

func (s bufferedKeys[K]) Decode(data []byte) (k BufferedKey[K], err error) {
	key, at, seq, err := splitBuffered(data)
	if err != nil {
		return k, err
	}
	k.At, k.Seq = processor.Timestamp(at), seq
	k.Key, err = s.keys.Decode(key)
	return k, err
}

func (s bufferedKeys[K]) String() string     { return "buffered(" + serde.Name(s.keys) + ")" }
func (s bufferedKeys[K]) FormatName() string { return "buffered(" + serde.FormatName(s.keys) + ")" }
