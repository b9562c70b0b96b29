package jsonscan

import (
	"reflect"
	"sync"
)

// Decoder decodes values of type T. It is safe for use by several goroutines.
type Decoder[T any] struct {
	plan *plan     // nil if there is none for T
	runs sync.Pool // of *run[T]
}

// run is the memory of one call. The target is reused, which is safe for two reasons:
// package jsonscan calls no method that could keep a pointer to it, and what the target
// points to is always new.
type run[T any] struct {
	reader reader
	value  T
	target reflect.Value // of value, settable
}

// For returns the decoder for type T. If there is no plan for T, it is in doubt about
// every input.
func For[T any]() *Decoder[T] {
	return &Decoder[T]{plan: planOf(reflect.TypeFor[T]())}
}

// Decode returns the value that json.Unmarshal stores into a zero T. If ok is false,
// Decode is in doubt, and the caller calls json.Unmarshal. Decode neither changes data
// nor keeps a reference to it.
func (d *Decoder[T]) Decode(data []byte) (v T, ok bool) {
	if d.plan == nil {
		return v, false
	}
	r, pooled := d.runs.Get().(*run[T])
	if !pooled {
		r = &run[T]{}
		r.target = reflect.ValueOf(&r.value).Elem()
	}
	r.reader.reset(data)
	if ok = r.reader.value(d.plan, r.target) && r.reader.atEnd(); ok {
		v = r.value
	}
	r.value = *new(T) // the pool must not keep value or data alive
	r.reader.reset(nil)
	d.runs.Put(r)
	return v, ok
}
