package serde

import (
	"errors"
	"fmt"
	"reflect"
)

// JSONWith encodes and decodes values of type T with another codec for JSON. marshal and
// unmarshal have the signatures of json.Marshal and json.Unmarshal, and are called by
// several goroutines at once:
//
//	serde.JSONWith[Tweet](json.Marshal, json.Unmarshal)
//	serde.JSONWith[Tweet](sonic.ConfigStd.Marshal, sonic.ConfigStd.Unmarshal)
//
// The codec determines the format. JSONWith changes no byte, and checks nothing. A codec
// has the duties of a [Serde]:
//
//   - unmarshal copies what it stores. The caller reuses data, so a string must not alias
//     it.
//   - unmarshal refuses an input with something behind the value.
//   - If T is the type of a key, marshal encodes equal keys as equal bytes. It writes
//     maps in order of their keys.
//
// Both functions get a pointer: marshal to the value, and unmarshal to a zero T. Errors
// are wrapped, and name T. If marshal or unmarshal is nil, every Append or Decode
// returns an error.
//
// The name of the format is "json", as for [JSON]. An application with state may
// therefore change from one to the other. If T is the type of a key, and the codecs
// encode a key differently (json.Marshal escapes <, > and &, and JSON does not), the
// rows of old keys are not found.
func JSONWith[T any](marshal func(v any) ([]byte, error), unmarshal func(data []byte, v any) error) Serde[T] {
	if marshal == nil {
		marshal = func(any) ([]byte, error) { return nil, errNoMarshal }
	}
	if unmarshal == nil {
		unmarshal = func([]byte, any) error { return errNoUnmarshal }
	}
	return &codecSerde[T]{marshal: marshal, unmarshal: unmarshal}
}

var (
	errNoMarshal   = errors.New("the function marshal is nil: pass one to JSONWith, such as json.Marshal")
	errNoUnmarshal = errors.New("the function unmarshal is nil: pass one to JSONWith, such as json.Unmarshal")
)

type codecSerde[T any] struct {
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
}

func (s *codecSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	encoded, err := s.marshal(&v)
	if err != nil {
		return dst, fmt.Errorf("%s: encode: %w", s, err)
	}
	return append(dst, encoded...), nil
}

func (s *codecSerde[T]) Decode(data []byte) (T, error) {
	var v T
	if err := s.unmarshal(data, &v); err != nil {
		return *new(T), fmt.Errorf("%s: decode: %w", s, err)
	}
	return v, nil
}

func (s *codecSerde[T]) String() string { return "json " + reflect.TypeFor[T]().String() }

// FormatName is that of JSON, which writes the same format.
func (s *codecSerde[T]) FormatName() string { return "json" }
