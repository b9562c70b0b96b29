package batch

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/stamp"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// Batches is a handle of a stream that is cut into batches. It is a small value without
// state; using one several times gives each user all records. Handles come from [Every];
// one that is the zero value belongs to no builder, and using it panics.
type Batches[K, V any] struct {
	e      *every
	n      *stamp.Node[K, V]
	keys   serde.Serde[K]
	values serde.Serde[V]
}

// apply applies options. One that is nil changes nothing, as in package topology.
func apply[T any, O ~func(*T)](to *T, opts []O) {
	for _, opt := range opts {
		if opt != nil {
			opt(to)
		}
	}
}

// Every cuts the stream into batches by the time of arrival: the wall clock of the
// process that reads the record, at the moment when the record gets to this operator.
// Batches are aligned to 1970-01-01T00:00:00Z; interval is in whole milliseconds. See the
// package documentation for what is in a batch.
//
// name names the topic <app>-<name>-repartition, through which all results on these
// batches go, and the store of what is closed so far.
func Every[K, V any](s topology.Stream[K, V], name string, interval time.Duration, opts ...EveryOption) Batches[K, V] {
	b := s.Builder()
	if b == nil {
		panic("batch: the stream belongs to no Builder: start with topology.New and topology.Source")
	}
	e := &every{name: name, interval: interval.Milliseconds()}
	apply(e, opts)
	e.plan = planOf(b)
	e.plan.add(e)
	if interval < time.Millisecond || interval%time.Millisecond != 0 {
		e.problem("Every %q: the interval %v is not a positive number of whole milliseconds", name, interval)
	}
	if e.mistake != "" {
		e.problem("Every %q: %s", name, e.mistake)
	}
	root := &stamp.Node[K, V]{}
	e.stamp = func() topology.Stream[[]byte, wire.Message] {
		newStamper := func() *stamp.Stamper[K, V] { return stamp.New(e.cut(), root) }
		return topology.Process(s, name+"-stamp", newStamper, serde.Bytes, wire.Messages)
	}
	return Batches[K, V]{e: e, n: root, keys: s.KeySerde(), values: s.ValueSerde()}
}

// EveryOption is an option of [Every].
type EveryOption func(*every)

// Partitions is the number of tasks among which the rows of the results are divided: the
// partitions of the topic <app>-<name>-repartition. Default: as many as the stream's
// topics have. It cannot be changed while rows are under way.
func Partitions(n int32) EveryOption {
	return func(e *every) { e.partitions = []topology.RepartitionOption{topology.Partitions(n)} }
}

// ByRecordTime cuts by the timestamps of the records instead of by their arrival. A task
// closes a batch when it has had a record that is by grace later than the batch's end;
// records that come for a closed batch are dropped, and counted as dropped.
//
// A batch gives its result when all tasks have closed it, so a partition without new
// records holds the results back. The interval cannot be changed later.
func ByRecordTime(grace time.Duration) EveryOption {
	return func(e *every) {
		e.byRecordTime, e.grace = true, grace.Milliseconds()
		if grace < 0 {
			e.mistake = fmt.Sprintf("the grace %v is negative", grace)
		}
	}
}

// Builder returns the builder that the batches belong to.
func (b Batches[K, V]) Builder() *topology.Builder { return b.made().e.plan.b }

// made returns b, or panics with a message in the user's words if it is the zero value.
func (b Batches[K, V]) made() Batches[K, V] {
	if b.e == nil {
		panic("batch: the Batches were not made by Every")
	}
	return b
}

// Filter keeps the records for whose value keep is true. keep sees the zero value where
// the value is absent.
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

// Map turns each record into another one. The record stays in its batch. If f returns the
// zero Timestamp, the record keeps its timestamp. The serdes may be nil where the key, or
// the value, is not counted, reduced or sent.
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

// FlatMap turns each record into any number of records, which are in the same batch. A
// zero Timestamp stands for that of the record f was given. The slice is read before f is
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

// FlatMapValues turns each value into any number of values, with the record's key; as
// with [MapValues], f is not called for absent values. The slice is read before f is
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

// needFunc comes first in every operator.
func (b Batches[K, V]) needFunc(op string, missing bool) {
	if b.made(); missing {
		b.e.problem("%s on %q: the function is nil", op, b.e.name)
	}
}

// every is the part of a plan that belongs to one Every.
type every struct {
	plan       *plan
	name       string
	interval   int64 // ms
	partitions []topology.RepartitionOption

	byRecordTime bool
	grace        int64 // ms

	mistake string // in the options
	broken  bool   // a problem was reported

	stamp      func() topology.Stream[[]byte, wire.Message] // adds the stamping node
	aggregates []aggregate
	points     []gathered
	outputs    []output // of the gather task, in order of declaration
	sinks      []toSink // of the counting tasks
}

func (e *every) problem(format string, args ...any) {
	e.plan.b.Report(fmt.Errorf("batch: "+format, args...))
	e.broken = true
}

// cut returns how the stream is cut into batches.
func (e *every) cut() stamp.Config {
	return stamp.Config{Every: e.name, Interval: e.interval, ByRecordTime: e.byRecordTime, Grace: e.grace}
}

// gathers reports whether there is anything for the gather task.
func (e *every) gathers() bool { return len(e.outputs) > 0 }

// gatherName is the name of the node by which the counting tasks send to the gather task.
func (e *every) gatherName() string { return e.name + "-" + gatherName }
