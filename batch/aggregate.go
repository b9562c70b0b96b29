package batch

import (
	"strconv"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/count"
	"github.com/millrace-streams/millrace/batch/internal/stamp"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Count counts the records of each batch, also those without a value. The result always
// has one row: for an empty batch it is 0.
func (b Batches[K, V]) Count(name string) Result[Total, int64] {
	h, a := aggregateBy(b, "Count", name, totals, serde.Int64, plus)
	a.Inverse, a.Always = minus, totalKey
	fold := func(n int64, _ bool, _ *processor.Record[K, V]) int64 { return n + 1 }
	return combineBy(b, h, a, fold, func(*processor.Record[K, V]) (Total, string) { return Total{}, "" })
}

// CountByValue counts how often each value is in the batch. Two values are equal if their
// encodings are, so the batches need a value serde. Records without a value are dropped,
// and counted as dropped.
func CountByValue[K, V any](b Batches[K, V], name string) Result[V, int64] {
	h, a := aggregateBy(b, "CountByValue", name, b.values, serde.Int64, plus)
	a.Inverse = minus
	fold := func(n int64, _ bool, _ *processor.Record[K, V]) int64 { return n + 1 }
	return combineBy(b, h, a, fold, func(r *processor.Record[K, V]) (V, string) {
		if r.NoValue {
			return r.Value, noValue
		}
		return r.Value, ""
	})
}

// ReduceByKey combines the values of each key and batch with f.
//
//   - f must be associative and commutative: the order of values is that of arrival only
//     inside one partition.
//   - f must not change its arguments in place, because other operators may hold the same
//     value.
//
// Records without a key or a value are dropped, and counted as dropped.
func ReduceByKey[K, V any](b Batches[K, V], name string, f func(a, b V) V, opts ...AggregateOption[V]) Result[K, V] {
	h, a := aggregateBy(b, "ReduceByKey", name, b.keys, b.values, f, opts...)
	fold := func(sum V, some bool, r *processor.Record[K, V]) V {
		if !some {
			return r.Value
		}
		return f(sum, r.Value)
	}
	return combineBy(b, h, a, fold, keyAndValue[K, V])
}

// AggregateByKey folds the values of each key and batch into an aggregate. Each task that
// has values of a key starts from zero, and folds them with add. Then merge combines the
// aggregates of several tasks, and in a window those of several batches, in no particular
// order.
//
// add and merge may change their first argument in place and return it. They must not
// keep the second.
//
// Records without a key or a value are dropped, and counted as dropped.
func AggregateByKey[K, V, A any](b Batches[K, V], name string, zero func() A, add func(A, V) A, merge func(a, b A) A, as serde.Serde[A], opts ...AggregateOption[A]) Result[K, A] {
	b.needFunc("AggregateByKey", zero == nil || add == nil)
	h, a := aggregateBy(b, "AggregateByKey", name, b.keys, as, merge, opts...)
	fold := func(sum A, some bool, r *processor.Record[K, V]) A {
		if !some {
			sum = zero()
		}
		return add(sum, r.Value)
	}
	return combineBy(b, h, a, fold, keyAndValue[K, V])
}

// AggregateOption is an option of [ReduceByKey] and [AggregateByKey].
type AggregateOption[A any] func(*options[A])

type options[A any] struct {
	inverse func(total, leaving A) A
}

// Inverse gives the inverse of the reduction, or of merge: f subtracts from a total the
// aggregate of a batch that leaves the window. With Inverse, the work of a window depends
// on the batches that enter and leave it. Without it, whenever a batch of a key leaves
// the window, the window merges all remaining batches of that key again.
//
// With AggregateByKey, f may change total in place and return it, as merge may. With
// ReduceByKey it must not.
func Inverse[A any](f func(total, leaving A) A) AggregateOption[A] {
	return func(o *options[A]) { o.inverse = f }
}

// Window aggregates over several batches: those whose ends lie in the last d up to the
// end of the present batch. Every batch gives all rows of the window. d must be a
// multiple of the interval.
//
// The result must come directly from Count, CountByValue, ReduceByKey or AggregateByKey.
// To filter or sort, call Filter and SortBy on the result of Window.
//
// The window, its store and its changelog are called <name>-window-<d>, as in
// authors-window-1m.
func (r Result[K, V]) Window(d time.Duration) Result[K, V] {
	h := r.hang("Window", "window-"+durationName(d), false)
	if interval := time.Duration(h.e.interval) * time.Millisecond; d <= 0 || interval <= 0 || d%interval != 0 {
		h.e.problem("Window of %q: %v must be a multiple of the interval %v", r.r.h.fullName(), d, interval)
	}
	w := &count.Window[K, V]{Name: h.fullName, Size: d.Milliseconds()}
	if r.r.a == nil {
		h.e.problem("Window of %q: only an aggregation can be windowed: call Window on the result of Count, CountByValue, ReduceByKey or AggregateByKey", r.r.h.fullName())
	} else {
		r.r.a.Windows = append(r.r.a.Windows, w)
	}
	return Result[K, V]{&result[K, V]{h: h, keys: r.r.keys, values: r.r.values, rows: &w.Rows}}
}

func plus(a, b int64) int64  { return a + b }
func minus(a, b int64) int64 { return a - b }

// durationName returns d as a part of a name: 1m, 1h30m, 5s, 250ms.
func durationName(d time.Duration) string {
	if d <= 0 || d%time.Millisecond != 0 {
		return strconv.FormatInt(int64(d), 10) + "ns"
	}
	var name string
	for _, unit := range []struct {
		d    time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / unit.d; n > 0 {
			name += strconv.FormatInt(int64(n), 10) + unit.name
			d -= n * unit.d
		}
	}
	return name
}

// noValue is the reason for dropping a record without a value.
const noValue = "the record has no value"

func keyAndValue[K, V any](r *processor.Record[K, V]) (K, string) {
	switch {
	case r.NoKey:
		return r.Key, stamp.NoKey
	case r.NoValue:
		return r.Key, noValue
	}
	return r.Key, ""
}

// aggregateBy adds an aggregation to the plan, with rows of type A by keys of type K2.
func aggregateBy[K, V, K2, A any](b Batches[K, V], op, name string, ks serde.Serde[K2], as serde.Serde[A], merge func(a, b A) A, opts ...AggregateOption[A]) (*header, *count.Aggregation[K2, A]) {
	b.needFunc(op, merge == nil)
	var o options[A]
	apply(&o, opts)
	h := &header{e: b.e, op: op, name: name}
	a := &count.Aggregation[K2, A]{Name: h.fullName, Keys: ks, Values: as, Merge: merge, Inverse: o.inverse}
	b.e.plan.claim(h)
	b.e.aggregates = append(b.e.aggregates, a)
	if ks == nil || as == nil {
		b.e.problem("%s %q: needs serdes for its keys and values to send them through topic <app>-%s-repartition: pass them to the operator that gives the batches their types", op, name, b.e.name)
	}
	return h, a
}

// combineBy adds the part of an aggregation that runs in the stamping tasks. keyOf
// returns the key of a record, or the reason for dropping it.
func combineBy[K, V, K2, A any](b Batches[K, V], h *header, a *count.Aggregation[K2, A], fold func(A, bool, *processor.Record[K, V]) A, keyOf func(*processor.Record[K, V]) (K2, string)) Result[K2, A] {
	stamp.Combine(b.n, stamp.Combining[K, V, K2, A]{Name: a.Name, Keys: a.Keys, Values: a.Values, KeyOf: keyOf, Fold: fold})
	return Result[K2, A]{&result[K2, A]{h: h, keys: a.Keys, values: a.Values, rows: &a.Rows, a: a}}
}

// totalKey is the encoding of Total. It is one byte, since a record without a key would
// not pass a repartition topic.
var totalKey = []byte{0}

// totals is the serde of Total.
var totals serde.Serde[Total] = totalSerde{}

type totalSerde struct{}

func (totalSerde) Append(dst []byte, _ Total) ([]byte, error) { return append(dst, totalKey...), nil }
func (totalSerde) Decode([]byte) (Total, error)               { return Total{}, nil }
func (totalSerde) String() string                             { return "total" }
