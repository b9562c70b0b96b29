package operator

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Buffered is what a Suppress holds back of a row: all updates since the row was last
// passed on, merged into one.
type Buffered struct {
	Slot processor.Timestamp // updates are passed on in the order of the slots

	// Timestamp and the fields down to Headers are those of the last update.
	Timestamp processor.Timestamp
	Topic     string
	Partition int32
	Offset    int64
	Headers   processor.Headers

	Prior Version // the row as it was last passed on
	Old   Version // the row before the last update
	New   Version // the row now

	size int64 // see bytes
}

// Version is a row at some time, if there was one.
type Version struct {
	Value any
	There bool
}

// BufferedValues is the serde of buffered updates. The format is that of Kafka Streams'
// BufferValue and ProcessorRecordContext, in the version that the header "v" of a
// changelog record numbers 3:
//
//	[8B timestamp][8B offset][4B length][topic][4B partition]
//	[4B number of headers]([4B length][key][4B length or -1][value])*
//	[4B length or -1][prior][4B length, -1 or -2][old][4B length or -1][new]
//	[8B slot]
//
// Numbers are big-endian. A length of -1 stands for none, and -2 for an old value that is
// the prior one.
func BufferedValues[V any](values serde.Serde[V]) serde.Serde[Buffered] {
	return bufferedValues{boxed[V]{values}}
}

type bufferedValues struct{ inner serde.Serde[any] }

const (
	absentValue = -1
	sameAsPrior = -2
)

func (s bufferedValues) Append(dst []byte, b Buffered) (_ []byte, err error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Timestamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Offset))
	dst = append(appendLength(dst, len(b.Topic)), b.Topic...)
	dst = appendLength(dst, int(b.Partition))
	dst = appendHeaders(dst, b.Headers)
	prior := len(dst)
	if dst, err = s.appendVersion(dst, b.Prior); err != nil {
		return nil, err
	}
	old := len(dst)
	if dst, err = s.appendVersion(dst, b.Old); err != nil {
		return nil, err
	}
	if b.Old.There && bytes.Equal(dst[prior:old], dst[old:]) {
		dst = appendLength(dst[:old], sameAsPrior)
	}
	if dst, err = s.appendVersion(dst, b.New); err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(dst, uint64(b.Slot)), nil
}

func appendLength(dst []byte, n int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }

func appendHeaders(dst []byte, headers processor.Headers) []byte {
	dst = appendLength(dst, len(headers))
	for _, h := range headers {
		dst = append(appendLength(dst, len(h.Key)), h.Key...)
		if h.Value == nil {
			dst = appendLength(dst, absentValue)
			continue
		}
		dst = append(appendLength(dst, len(h.Value)), h.Value...)
	}
	return dst
}

func (s bufferedValues) appendVersion(dst []byte, v Version) ([]byte, error) {
	if !v.There {
		return appendLength(dst, absentValue), nil
	}
	at := len(dst)
	dst, err := s.inner.Append(append(dst, 0, 0, 0, 0), v.Value)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst, nil
}

func (s bufferedValues) Decode(data []byte) (b Buffered, err error) {
	r := bufferedReader{left: data}
	b.Timestamp = processor.Timestamp(r.int64())
	b.Offset = r.int64()
	b.Topic = string(r.bytes(r.length()))
	b.Partition = r.length()
	b.Headers = r.headers()
	prior, old, value := r.version(), r.version(), r.version()
	b.Slot = processor.Timestamp(r.int64())
	if r.broken || len(r.left) > 0 {
		return Buffered{}, fmt.Errorf("%d bytes are not a buffered update in the format of Kafka Streams' suppress, version 3", len(data))
	}
	if old.same {
		old = prior
	}
	for _, part := range []struct {
		from versionBytes
		to   *Version
	}{{prior, &b.Prior}, {old, &b.Old}, {value, &b.New}} {
		if part.from.same {
			return Buffered{}, errNoPrior
		}
		if !part.from.there {
			continue
		}
		if part.to.Value, err = s.inner.Decode(part.from.data); err != nil {
			return Buffered{}, err
		}
		part.to.There = true
	}
	b.size = sizeOf(int64(len(data)), len(b.Headers))
	return b, nil
}

var errNoPrior = errors.New("a value of a buffered update has the length -2, which only the old value may have")

// sizeOf returns the size of an update as Kafka Streams counts it for the bound of a
// buffer, without the key. That is the size of the encoding, which is encoded, without
// the lengths in it.
func sizeOf(encoded int64, headers int) int64 {
	const lengths = 4 + 4 + 3*4 // of the topic, the headers and the three values
	return encoded - lengths - int64(headers)*8
}

func (s bufferedValues) String() string     { return "buffered(" + serde.Name(s.inner) + ")" }
func (s bufferedValues) FormatName() string { return "buffered(" + serde.FormatName(s.inner) + ")" }

// versionBytes is an encoded Version.
type versionBytes struct {
	data        []byte
	there, same bool
}

// bufferedReader reads an encoded update. After an error it returns zero values.
type bufferedReader struct {
	left   []byte
	broken bool
}

func (r *bufferedReader) bytes(n int32) []byte {
	if r.broken || n < 0 || int(n) > len(r.left) {
		r.broken = true
		return nil
	}
	taken := r.left[:n:n]
	r.left = r.left[n:]
	return taken
}

func (r *bufferedReader) length() int32 {
	if b := r.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *bufferedReader) int64() int64 {
	if b := r.bytes(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *bufferedReader) headers() (out processor.Headers) {
	n := r.length()
	for ; n > 0 && !r.broken; n-- {
		h := processor.Header{Key: string(r.bytes(r.length()))}
		if size := r.length(); size != absentValue {
			h.Value = bytes.Clone(r.bytes(size))
			if h.Value == nil {
				h.Value = []byte{}
			}
		}
		out = append(out, h)
	}
	r.broken = r.broken || n < 0
	return out
}

func (r *bufferedReader) version() versionBytes {
	switch n := r.length(); n {
	case absentValue:
		return versionBytes{}
	case sameAsPrior:
		return versionBytes{same: true}
	default:
		return versionBytes{data: r.bytes(n), there: true}
	}
}
