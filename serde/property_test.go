package serde_test

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-streams/millrace/serde"
)

// survivesRoundTrip is a property for quick.Check: an encoding appended to any prefix
// decodes to v.
func survivesRoundTrip[T any](s serde.Serde[T]) func(prefix []byte, v T) bool {
	return func(prefix []byte, v T) bool {
		data, err := s.Append(bytes.Clone(prefix), v)
		if err != nil || !bytes.HasPrefix(data, prefix) {
			return false
		}
		back, err := s.Decode(data[len(prefix):])
		return err == nil && reflect.DeepEqual(v, back)
	}
}

func TestAnyValueSurvivesRoundTrip(t *testing.T) {
	t.Parallel()
	properties := map[string]any{
		"string":  survivesRoundTrip(serde.String),
		"bytes":   func(prefix, v []byte) bool { return survivesRoundTrip(serde.Bytes)(prefix, append([]byte{}, v...)) },
		"int16":   survivesRoundTrip(serde.Int16),
		"int32":   survivesRoundTrip(serde.Int32),
		"int64":   survivesRoundTrip(serde.Int64),
		"float32": survivesRoundTrip(serde.Float32),
		"float64": survivesRoundTrip(serde.Float64),
		"bool":    survivesRoundTrip(serde.Bool),
		"uuid":    survivesRoundTrip[uuid.UUID](serde.UUID),
		"json": func(prefix []byte, name string, age int, photo []byte) bool {
			// encoding/json replaces bytes that are not UTF-8, and omits an empty photo.
			p := person{Name: strings.ToValidUTF8(name, "?"), Age: age}
			p.Photo = append(p.Photo, photo...)
			return survivesRoundTrip(serde.JSON[person]())(prefix, p)
		},
		"time windowed": func(prefix []byte, key string, start uint32, size uint16) bool {
			d := time.Duration(size)*time.Millisecond + time.Millisecond
			w := serde.Window{Start: int64(start), End: int64(start) + d.Milliseconds()}
			return survivesRoundTrip(serde.TimeWindowed(serde.String, d))(prefix, serde.Windowed[string]{Key: key, Window: w})
		},
		"session windowed": func(prefix []byte, key string, start, length uint32) bool {
			w := serde.Window{Start: int64(start), End: int64(start) + int64(length)}
			return survivesRoundTrip(serde.SessionWindowed(serde.String))(prefix, serde.Windowed[string]{Key: key, Window: w})
		},
	}
	for name, property := range properties {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := quick.Check(property, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFloatBitsAreKept(t *testing.T) {
	t.Parallel()
	for _, bits := range []uint64{0x7ff8000000000001, 0xfff8000000000000, 1 << 63} {
		data, err := serde.Encode(serde.Float64, math.Float64frombits(bits))
		if err != nil {
			t.Fatal(err)
		}
		back, err := serde.Float64.Decode(data)
		if err != nil || math.Float64bits(back) != bits {
			t.Errorf("bits %x came back as %x, %v", bits, math.Float64bits(back), err)
		}
	}
}

// The documented order of encoded bytes: numbers are in order, with negative numbers
// after all others. The windows of a key are in order of time.
func TestOrderOfEncodedKeys(t *testing.T) {
	t.Parallel()
	order := func(a, b int64) bool {
		x, _ := serde.Encode(serde.Int64, a)
		y, _ := serde.Encode(serde.Int64, b)
		return bytes.Compare(x, y) == cmp.Compare(uint64(a), uint64(b))
	}
	if err := quick.Check(order, nil); err != nil {
		t.Error(err)
	}
	s := serde.TimeWindowed(serde.String, time.Second)
	windows := func(key string, a, b uint32) bool {
		x, _ := serde.Encode(s, serde.Windowed[string]{Key: key, Window: serde.Window{Start: int64(a)}})
		y, _ := serde.Encode(s, serde.Windowed[string]{Key: key, Window: serde.Window{Start: int64(b)}})
		return bytes.Compare(x, y) == cmp.Compare(a, b)
	}
	if err := quick.Check(windows, nil); err != nil {
		t.Error(err)
	}
}

// naiveMurmur2 implements the published algorithm byte by byte.
func naiveMurmur2(data []byte) int32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	i := 0
	for ; len(data)-i >= 4; i += 4 {
		k := uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16 | uint32(data[i+3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) - i {
	case 3:
		h ^= uint32(data[i+2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[i+1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[i])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h)
}

func TestMurmur2MatchesNaiveForm(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		if have, want := serde.Murmur2(data), naiveMurmur2(data); have != want {
			t.Errorf("%x: %d, want %d", data, have, want)
		}
	}
}

func TestPartitionIsInRange(t *testing.T) {
	t.Parallel()
	property := func(key []byte, n uint16) bool {
		count := int32(n) + 1
		p := serde.Partition(key, count)
		return 0 <= p && p < count
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
	for _, n := range []int32{0, -1, math.MinInt32} {
		if p := serde.Partition([]byte("a"), n); p != -1 {
			t.Errorf("partition of %d is %d, want -1", n, p)
		}
	}
}
