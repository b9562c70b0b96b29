package serde

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/millrace-streams/millrace/serde/internal/jsonscan"
)

// JSON encodes values of type T as encoding/json does, but without a trailing newline,
// and with <, > and & unescaped. Maps are written in order of their keys, so equal values
// have equal encodings, as keys must.
//
// Decode accepts exactly one JSON value. It ignores fields that T does not have. Errors
// name T and, where encoding/json reports it, the byte at which decoding stopped.
//
// A string that is not UTF-8 is an error of Append. encoding/json would replace its bad
// bytes, so two keys could become one.
//
// A number that is decoded into any becomes a float64, which holds integers up to 2^53
// only. Larger ones lose digits, and so two keys can become one. Use a type with integer
// fields or with json.Number.
//
// The JSON text null is a present value. It decodes to the zero T or, if T is a pointer,
// to nil. Use Nullable(JSON[T]()) for absence.
//
// Decode has its own reader. It takes a quarter to a third of the time of encoding/json
// for structs, and about half of it for maps and any. Values and errors are those of
// encoding/json. The reader leaves these types to encoding/json: types that have
// UnmarshalJSON or UnmarshalText methods inside (except time.Time and json.RawMessage), a
// field with the option string in its tag, and maps whose keys are not strings. It also
// leaves inputs with errors to encoding/json. [JSONWith] uses another codec.
func JSON[T any]() Serde[T] {
	return &jsonSerde[T]{reader: jsonscan.For[T]()}
}

type jsonSerde[T any] struct {
	reader    *jsonscan.Decoder[T]
	appenders sync.Pool // of *jsonAppender[T]
}

// A jsonAppender is the writer of its encoder and appends to the destination directly, so
// nothing is copied from a buffer. The value is kept beside the encoder for two reasons:
//
//   - Unlike the value, a pointer to it is stored in an interface without an allocation.
//   - Through a pointer, encoding/json finds MarshalJSON methods with pointer receivers.
type jsonAppender[T any] struct {
	encoder *json.Encoder
	dst     []byte
	value   T
}

func (a *jsonAppender[T]) Write(p []byte) (int, error) {
	a.dst = append(a.dst, p...)
	return len(p), nil
}

func (s *jsonSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	a := s.appender()
	a.dst, a.value = dst, v
	err := a.encoder.Encode(&a.value)
	out := a.dst
	a.dst, a.value = nil, *new(T) // the pool must not keep dst or value alive
	s.appenders.Put(a)
	if err != nil {
		return dst, fmt.Errorf("%s: encode: %w", s, err)
	}
	if replaced(out[len(dst):], v) {
		return dst, fmt.Errorf("%s: encode: a string is not UTF-8, and JSON has no way to write its bytes", s)
	}
	return out[:len(out)-1], nil // without the newline that Encode writes
}

func (s *jsonSerde[T]) appender() *jsonAppender[T] {
	if a, ok := s.appenders.Get().(*jsonAppender[T]); ok {
		return a
	}
	a := &jsonAppender[T]{}
	a.encoder = json.NewEncoder(a)
	a.encoder.SetEscapeHTML(false)
	return a
}

func (s *jsonSerde[T]) Decode(data []byte) (T, error) {
	if v, ok := s.reader.Decode(data); ok {
		return v, nil
	}
	// The target is not pooled, because an UnmarshalJSON method may keep its receiver.
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return *new(T), s.decodeError(err)
	}
	return v, nil
}

func (s *jsonSerde[T]) decodeError(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: decode at byte %d: %w", s, syntax.Offset, err)
	case errors.As(err, &mismatch):
		return fmt.Errorf("%s: decode at byte %d: %w", s, mismatch.Offset, err)
	}
	return fmt.Errorf("%s: decode: %w", s, err)
}

func (s *jsonSerde[T]) String() string { return "json " + reflect.TypeFor[T]().String() }

// FormatName leaves the type out: the type may be renamed, and fields may be added.
func (s *jsonSerde[T]) FormatName() string { return "json" }
