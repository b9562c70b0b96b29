package serde

import "fmt"

// Nullable makes absence a value: nil stands for an absent key or value. A non-nil
// pointer stands for a present one and is encoded as inner encodes the value it points
// to.
//
// The result is [Optional]. It is [Partitioned] if inner is. Append of nil returns an
// error, because absence has no bytes; the runtime writes a nil key or a tombstone
// instead. Decode returns a new pointer each time, which belongs to the caller.
func Nullable[T any](inner Serde[T]) Serde[*T] {
	n := nullable[T]{inner: inner}
	if p, ok := inner.(Partitioned[T]); ok {
		return partitionedNullable[T]{nullable: n, partitioned: p}
	}
	return n
}

type nullable[T any] struct {
	inner Serde[T]
}

func (n nullable[T]) Append(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return dst, absentError(n)
	}
	return n.inner.Append(dst, *v)
}

func (n nullable[T]) Decode(data []byte) (*T, error) {
	v, err := n.inner.Decode(data)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Absent also asks inner, because inner may be Optional itself.
func (n nullable[T]) Absent(v *T) bool {
	return v == nil || absent(n.inner, *v)
}

func (n nullable[T]) String() string { return "nullable " + Name(n.inner) }

func (n nullable[T]) FormatName() string { return "nullable " + FormatName(n.inner) }

type partitionedNullable[T any] struct {
	nullable[T]
	partitioned Partitioned[T]
}

func (n partitionedNullable[T]) AppendPartitionKey(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return dst, absentError(n)
	}
	return n.partitioned.AppendPartitionKey(dst, *v)
}

func absent[T any](s Serde[T], v T) bool {
	o, ok := s.(Optional[T])
	return ok && o.Absent(v)
}

func absentError(s fmt.Stringer) error {
	return fmt.Errorf("%s: an absent value has no encoding; write nil in its place", s)
}
