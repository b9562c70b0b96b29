package batch

import (
	"github.com/millrace-streams/millrace/batch/internal/stamp"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Filter keeps the records for whose value keep is true. If the value is absent, keep
// sees the zero value.
func (b Batches[K, V]) Filter(keep func(V) bool) Batches[K, V] {
	b.needFunc("Filter", keep == nil)
	return b.FilterRecord(func(r processor.Record[K, V]) bool { return keep(r.Value) })
}

// FilterRecord keeps the records for which keep is true.
func (b Batches[K, V]) FilterRecord(keep func(processor.Record[K, V]) bool) Batches[K, V] {
	b.needFunc("FilterRecord", keep == nil)
	b.n = stamp.Attach(b.n, func(next stamp.Receive[K, V]) stamp.Receive[K, V] {
		return func(r *processor.Record[K, V]) error {
			if !keep(*r) {
				return nil
			}
			return next(r)
		}
	})
	return b
}

// Map turns each record into another one, in the same batch. If f returns the zero
// Timestamp, the record keeps its timestamp. A serde may be nil if the key, or the value,
// is not counted, reduced or sent.
func Map[K, V, K2, V2 any](b Batches[K, V], f func(processor.Record[K, V]) processor.Record[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2]) Batches[K2, V2] {
	b.needFunc("Map", f == nil)
	n := stamp.Attach(b.n, func(next stamp.Receive[K2, V2]) stamp.Receive[K, V] {
		var out processor.Record[K2, V2]
		return func(r *processor.Record[K, V]) error {
			if out = f(*r); out.Timestamp == 0 {
				out.Timestamp = r.Timestamp
			}
			return next(&out)
		}
	})
	return Batches[K2, V2]{e: b.e, n: n, keys: ks, values: vs}
}

// MapValues turns each value into another one. An absent value stays absent, and f is not
// called for it, unless the value serde is Optional (see serde.Nullable).
func MapValues[K, V, V2 any](b Batches[K, V], f func(V) V2, vs serde.Serde[V2]) Batches[K, V2] {
	b.needFunc("MapValues", f == nil)
	_, absentToo := b.values.(serde.Optional[V])
	n := stamp.Attach(b.n, func(next stamp.Receive[K, V2]) stamp.Receive[K, V] {
		var out processor.Record[K, V2]
		return func(r *processor.Record[K, V]) error {
			out = withoutValue[V2](r)
			if !r.NoValue || absentToo {
				out.Value, out.NoValue = f(r.Value), false
			}
			return next(&out)
		}
	})
	return Batches[K, V2]{e: b.e, n: n, keys: b.keys, values: vs}
}

// FlatMap turns each record into any number of records, in the same batch. A zero
// Timestamp stands for that of the record that f was given. The slice is read before f is
// called again.
func FlatMap[K, V, K2, V2 any](b Batches[K, V], f func(processor.Record[K, V]) []processor.Record[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2]) Batches[K2, V2] {
	b.needFunc("FlatMap", f == nil)
	n := stamp.Attach(b.n, func(next stamp.Receive[K2, V2]) stamp.Receive[K, V] {
		var out processor.Record[K2, V2]
		return func(r *processor.Record[K, V]) error {
			for _, out = range f(*r) {
				if out.Timestamp == 0 {
					out.Timestamp = r.Timestamp
				}
				if err := next(&out); err != nil {
					return err
				}
			}
			return nil
		}
	})
	return Batches[K2, V2]{e: b.e, n: n, keys: ks, values: vs}
}

// FlatMapValues turns each value into any number of values, with the key of the record.
// As with [MapValues], f is not called for absent values. The slice is read before f is
// called again.
func FlatMapValues[K, V, V2 any](b Batches[K, V], f func(V) []V2, vs serde.Serde[V2]) Batches[K, V2] {
	b.needFunc("FlatMapValues", f == nil)
	_, absentToo := b.values.(serde.Optional[V])
	n := stamp.Attach(b.n, func(next stamp.Receive[K, V2]) stamp.Receive[K, V] {
		var out processor.Record[K, V2]
		return func(r *processor.Record[K, V]) error {
			out = withoutValue[V2](r)
			if r.NoValue && !absentToo {
				return next(&out)
			}
			for _, v := range f(r.Value) {
				out.Value, out.NoValue = v, false
				if err := next(&out); err != nil {
					return err
				}
			}
			return nil
		}
	})
	return Batches[K, V2]{e: b.e, n: n, keys: b.keys, values: vs}
}

// withoutValue returns r with no value.
func withoutValue[V2, K, V any](r *processor.Record[K, V]) processor.Record[K, V2] {
	return processor.Record[K, V2]{Key: r.Key, NoKey: r.NoKey, NoValue: true, Timestamp: r.Timestamp, Headers: r.Headers}
}

// needFunc checks the handle and the function. Every operator calls it first.
func (b Batches[K, V]) needFunc(op string, missing bool) {
	if b.made(); missing {
		b.e.problem("%s on %q: the function is nil", op, b.e.name)
	}
}
