package serde

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// JSON encodes values of type T as encoding/json does, without a trailing newline, and with <, > and & written as they are. Maps are
// written in order of their keys, so equal values have equal encodings, as keys must. Decode takes exactly one JSON value; fields
// that T does not have are ignored. Errors name T and, where encoding/json tells it, the byte at which decoding stopped.
//
// The JSON text null is a present value: it decodes to the zero T or, for a pointer, to nil. Use Nullable(JSON[T]()) for absence.
func JSON[T any]() Serde[T] {
	return &jsonSerde[T]{}
}

type jsonSerde[T any] struct {
	appenders sync.Pool // of *jsonAppender[T]
}

// A jsonAppender writes to the destination itself, so that there is no buffer to copy from. The value is kept beside the encoder
// because a pointer to it, unlike the value, goes into an interface without an allocation, and lets MarshalJSON methods with
// pointer receivers be found.
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
	a.dst, a.value = nil, *new(T) // the pool must keep neither alive
	s.appenders.Put(a)
	if err != nil {
		return dst, fmt.Errorf("%s: encode: %w", s, err)
	}
	return out[:len(out)-1], nil // Encode ends with a newline
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
	// The target is not pooled: an UnmarshalJSON method may keep its receiver.
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

// FormatName leaves the type out: its name may change, and its fields may grow.
func (s *jsonSerde[T]) FormatName() string { return "json" }
