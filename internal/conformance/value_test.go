package conformance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-streams/millrace/serde"
)

// Keys and values of a case have the type any. nil is Java's null. The serdes of the
// corpus read and write these types: string, int64 (long), int32 (int), int16 (short),
// float64 (double), float32 (float), []byte, uuid.UUID and serde.Windowed[any].

// dynamic is a serde of any. It is Optional, and nil means absence. Millrace therefore
// calls the functions of a case for null keys and values too, as Java does.
type dynamic struct {
	name  string
	write func(dst []byte, v any) ([]byte, error)
	read  func(data []byte) (any, error)
	hash  func(dst []byte, v any) ([]byte, error)
	json  func(text json.RawMessage) (any, error) // parses a value in the corpus's form
}

// adapt converts a serde of T to a serde of any. A value of another type is an error,
// like a ClassCastException in Java.
func adapt[T any](name string, s serde.Serde[T], fromJSON func(json.RawMessage) (any, error)) *dynamic {
	typed := func(f func([]byte, T) ([]byte, error)) func([]byte, any) ([]byte, error) {
		return func(dst []byte, v any) ([]byte, error) {
			t, ok := v.(T)
			if !ok {
				return dst, fmt.Errorf("%s: a %T has no such encoding", name, v)
			}
			return f(dst, t)
		}
	}
	return &dynamic{
		name:  name,
		write: typed(s.Append),
		hash:  typed(func(dst []byte, v T) ([]byte, error) { return serde.AppendPartitionKey(dst, s, v) }),
		read:  func(data []byte) (any, error) { return s.Decode(data) },
		json:  fromJSON,
	}
}

func (d *dynamic) Append(dst []byte, v any) ([]byte, error) { return d.write(dst, v) }
func (d *dynamic) Decode(data []byte) (any, error)          { return d.read(data) }
func (d *dynamic) Absent(v any) bool                        { return v == nil }

// Canonical is true for the serdes that have one encoding for each value.
func (d *dynamic) Canonical() bool {
	switch d.name {
	case "string", "long", "int", "short", "bytes":
		return true
	}
	return false
}

func (d *dynamic) String() string { return d.name }

func (d *dynamic) AppendPartitionKey(dst []byte, v any) ([]byte, error) { return d.hash(dst, v) }

// encodeJSON returns the bytes of a value in the corpus's form, or nil for null. {"hex":
// ..} stands for the bytes themselves, with any serde.
func (d *dynamic) encodeJSON(text json.RawMessage) ([]byte, error) {
	if isNull(text) {
		return nil, nil
	}
	if data, ok := hexOf(text); ok {
		return data, nil
	}
	v, err := d.json(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", d.name, text, err)
	}
	return d.write([]byte{}, v)
}

func isNull(text json.RawMessage) bool { return len(text) == 0 || bytes.Equal(text, []byte("null")) }

func hexOf(text json.RawMessage) ([]byte, bool) {
	var raw struct{ Hex *string }
	if text[0] != '{' || json.Unmarshal(text, &raw) != nil || raw.Hex == nil {
		return nil, false
	}
	data, err := hex.AppendDecode([]byte{}, []byte(*raw.Hex))
	return data, err == nil
}

var basicSerdes = map[string]*dynamic{
	"string": adapt("string", serde.String, jsonAs[string]),
	"long":   adapt("long", serde.Int64, jsonAs[int64]),
	"int":    adapt("int", serde.Int32, jsonAs[int32]),
	"short":  adapt("short", serde.Int16, jsonAs[int16]),
	"double": adapt("double", serde.Float64, jsonAs[float64]),
	"float":  adapt("float", serde.Float32, jsonAs[float32]),
	"bytes":  adapt("bytes", serde.Bytes, jsonBytes),
	"uuid":   adapt("uuid", serde.UUID, jsonAs[uuid.UUID]),
}

func jsonAs[T any](text json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}

// jsonBytes reads the bytes in a windowed key. Elsewhere {"hex": ..} is a value of any
// serde.
func jsonBytes(text json.RawMessage) (any, error) {
	data, ok := hexOf(text)
	if !ok {
		return nil, errors.New("bytes are written as {\"hex\": ..}")
	}
	return data, nil
}

// serdeOf returns the serde with the given name in the corpus.
func serdeOf(name string) (*dynamic, error) {
	if s := basicSerdes[name]; s != nil {
		return s, nil
	}
	kind, rest, _ := strings.Cut(name, ":")
	inner, size, _ := strings.Cut(rest, ":")
	keys := basicSerdes[inner]
	switch {
	case kind == "time-windowed" && keys != nil:
		ms, err := strconv.ParseInt(size, 10, 64)
		return timeWindowed(keys, windowSize(ms)), err
	case kind == "session-windowed" && keys != nil:
		return sessionWindowed(keys), nil
	}
	return nil, notYet("serde %q", name)
}

// sessionWindowed returns the serde of keys in sessions.
func sessionWindowed(keys *dynamic) *dynamic {
	return adapt("session-windowed:"+keys.name, serde.SessionWindowed[any](keys), windowedJSON(keys))
}

// timeWindowed returns the serde of keys in windows of a given size.
func timeWindowed(keys *dynamic, size time.Duration) *dynamic {
	return adapt(fmt.Sprintf("time-windowed:%s:%d", keys.name, size.Milliseconds()), serde.TimeWindowed[any](keys, size), windowedJSON(keys))
}

// windowSize returns a window size in milliseconds as a duration. A size that is too long
// for a duration stands for windows without end.
func windowSize(ms int64) time.Duration {
	if ms > longest {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}

func windowedJSON(keys *dynamic) func(json.RawMessage) (any, error) {
	return func(text json.RawMessage) (any, error) {
		var v struct {
			Key        json.RawMessage
			Start, End int64
		}
		if err := json.Unmarshal(text, &v); err != nil {
			return nil, err
		}
		key, err := keys.json(v.Key)
		return serde.Windowed[any]{Key: key, Window: serde.Window{Start: v.Start, End: v.End}}, err
	}
}

// javaText returns the text of x in Java, called str in the corpus.
func javaText(x any) string {
	switch x := x.(type) {
	case nil:
		return "null"
	case string:
		return x
	case serde.Windowed[any]:
		return fmt.Sprintf("%s@%d-%d", javaText(x.Key), x.Start, x.End)
	case float64:
		return javaFloat(x, 64)
	case float32:
		return javaFloat(float64(x), 32)
	case []byte:
		return hex.EncodeToString(x)
	}
	return fmt.Sprint(x)
}

// javaFloat is Double.toString: decimal notation from 0.001 to 10 million, scientific
// notation outside, and always a fraction.
func javaFloat(x float64, bits int) string {
	switch size := math.Abs(x); {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 0):
		return strings.Replace(fmt.Sprint(x), "Inf", "Infinity", 1)[map[bool]int{true: 1}[x > 0]:]
	case x == 0 || size >= 1e-3 && size < 1e7:
		text := strconv.FormatFloat(x, 'f', -1, bits)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'E', -1, bits), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}

// asLong returns a number. As in the corpus's aggregators, null counts as 0.
func asLong(x any) (int64, error) {
	switch x := x.(type) {
	case nil:
		return 0, nil
	case int64:
		return x, nil
	case int32:
		return int64(x), nil
	case int16:
		return int64(x), nil
	}
	return 0, fmt.Errorf("a %T is not a whole number", x)
}

// keyAndValue returns the serdes with two names.
func keyAndValue(key, value string) (keys, values *dynamic, err error) {
	if keys, err = serdeOf(key); err != nil {
		return nil, nil, err
	}
	values, err = serdeOf(value)
	return keys, values, err
}
