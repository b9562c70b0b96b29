package operator

import "github.com/millrace-streams/millrace/serde"

// Boxed returns a serde of values in interfaces. It is for code that is compiled once for
// all types. A value costs an allocation.
func Boxed[T any](s serde.Serde[T]) serde.Serde[any] { return boxed[T]{s} }

type boxed[T any] struct{ inner serde.Serde[T] }

func (s boxed[T]) Append(dst []byte, v any) ([]byte, error) {
	return s.inner.Append(dst, unboxed[T](v))
}

func (s boxed[T]) Decode(data []byte) (any, error) { return s.inner.Decode(data) }
func (s boxed[T]) String() string                  { return serde.Name(s.inner) }
func (s boxed[T]) FormatName() string              { return serde.FormatName(s.inner) }

// unboxed returns the value in an interface. If T is an interface type, it may be nil.
func unboxed[T any](v any) T {
	value, _ := v.(T)
	return value
}
