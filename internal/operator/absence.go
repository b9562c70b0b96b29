package operator

import (
	"slices"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// absence knows which value of a type stands for "absent". If its serde is not Optional,
// there is none.
type absence[T any] struct {
	optional serde.Optional[T]
}

func absenceOf[T any](s serde.Serde[T]) absence[T] {
	o, _ := s.(serde.Optional[T])
	return absence[T]{o}
}

// expressible reports whether a value stands for "absent". User functions are then called
// for absent values too.
func (a absence[T]) expressible() bool { return a.optional != nil }

// is reports whether v stands for "absent".
func (a absence[T]) is(v T) bool { return a.optional != nil && a.optional.Absent(v) }

// normalize makes NoKey and NoValue agree with key and value. It also cuts the capacity
// of the headers, so that two receivers that append to them do not write to the same
// place.
func normalize[K, V any](r *processor.Record[K, V], keys absence[K], values absence[V]) {
	r.Headers = slices.Clip(r.Headers)
	if r.NoKey = r.NoKey || keys.is(r.Key); r.NoKey {
		var none K
		r.Key = none
	}
	if r.NoValue = r.NoValue || values.is(r.Value); r.NoValue {
		var none V
		r.Value = none
	}
}
