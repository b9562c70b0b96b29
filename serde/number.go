package serde

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Integers are encoded as big-endian two's complement of fixed width. The formats are
// those of Kafka's ShortSerializer, IntegerSerializer and LongSerializer. Key ranges of
// stores are ordered by the encoded bytes, so negative numbers come after all others.
var (
	Int16 Serde[int16] = int16Serde{}
	Int32 Serde[int32] = int32Serde{}
	Int64 Serde[int64] = int64Serde{}
)

// Floating-point numbers are encoded as the big-endian IEEE 754 bits. The formats are
// those of Kafka's FloatSerializer and DoubleSerializer. The bits are kept as they are: 0
// and -0 have different encodings, and so do NaNs with different payloads.
var (
	Float32 Serde[float32] = float32Serde{}
	Float64 Serde[float64] = float64Serde{}
)

// Bool encodes false as the byte 0 and true as the byte 1, in the format of Kafka's
// BooleanSerializer. Decode returns an error for any other byte.
var Bool Serde[bool] = boolSerde{}

type (
	int16Serde   struct{}
	int32Serde   struct{}
	int64Serde   struct{}
	float32Serde struct{}
	float64Serde struct{}
	boolSerde    struct{}
)

func (int16Serde) String() string   { return "int16" }
func (int32Serde) String() string   { return "int32" }
func (int64Serde) String() string   { return "int64" }
func (float32Serde) String() string { return "float32" }
func (float64Serde) String() string { return "float64" }
func (boolSerde) String() string    { return "bool" }

func (int16Serde) Append(dst []byte, v int16) ([]byte, error) {
	return binary.BigEndian.AppendUint16(dst, uint16(v)), nil
}

func (s int16Serde) Decode(data []byte) (int16, error) {
	if len(data) != 2 {
		return 0, wrongLength(s, 2, data)
	}
	return int16(binary.BigEndian.Uint16(data)), nil
}

func (int32Serde) Append(dst []byte, v int32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, uint32(v)), nil
}

func (s int32Serde) Decode(data []byte) (int32, error) {
	if len(data) != 4 {
		return 0, wrongLength(s, 4, data)
	}
	return int32(binary.BigEndian.Uint32(data)), nil
}

func (int64Serde) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (s int64Serde) Decode(data []byte) (int64, error) {
	if len(data) != 8 {
		return 0, wrongLength(s, 8, data)
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}

func (float32Serde) Append(dst []byte, v float32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(v)), nil
}

func (s float32Serde) Decode(data []byte) (float32, error) {
	if len(data) != 4 {
		return 0, wrongLength(s, 4, data)
	}
	return math.Float32frombits(binary.BigEndian.Uint32(data)), nil
}

func (float64Serde) Append(dst []byte, v float64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), nil
}

func (s float64Serde) Decode(data []byte) (float64, error) {
	if len(data) != 8 {
		return 0, wrongLength(s, 8, data)
	}
	return math.Float64frombits(binary.BigEndian.Uint64(data)), nil
}

func (boolSerde) Append(dst []byte, v bool) ([]byte, error) {
	if v {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func (s boolSerde) Decode(data []byte) (bool, error) {
	if len(data) != 1 {
		return false, wrongLength(s, 1, data)
	}
	if data[0] > 1 {
		return false, fmt.Errorf("bool: want byte 0 or 1, have %d", data[0])
	}
	return data[0] == 1, nil
}

// wrongLength is a function of its own, so that the decoders stay small enough to be
// inlined, or at least cheap to call.
func wrongLength(s fmt.Stringer, want int, data []byte) error {
	unit := "bytes"
	if want == 1 {
		unit = "byte"
	}
	return fmt.Errorf("%s: want %d %s, have %d", s, want, unit, len(data))
}
