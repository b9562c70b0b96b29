package batch

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/stamp"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// Batches is a handle of a stream that is cut into batches. It is a small value without
// state, and each use of it gets all records. Handles come from [Every]. The zero value
// belongs to no builder: using it panics.
type Batches[K, V any] struct {
	e      *every
	n      *stamp.Node[K, V]
	keys   serde.Serde[K]
	values serde.Serde[V]
}

// Every cuts the stream into batches by the time of arrival. The time of arrival is the
// wall clock of the process that reads the record, at the moment when the record reaches
// this operator. Batches are aligned to 1970-01-01T00:00:00Z. interval must be a positive
// number of whole milliseconds. The package documentation says what is in a batch.
//
// name is the name of the topic <app>-<name>-repartition, through which all results of
// these batches go, and of the store that records which batches are done.
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
		e.problem("Every %q: the interval %v must be a positive number of whole milliseconds", name, interval)
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

// Partitions sets the number of partitions of the topic <app>-<name>-repartition, and so
// the number of counting tasks, among which the rows of the results are divided. Default:
// as many as the topics of the stream have. The number must not change.
func Partitions(n int32) EveryOption {
	return func(e *every) { e.partitions = []topology.RepartitionOption{topology.Partitions(n)} }
}

// ByRecordTime cuts by the timestamps of the records, not by their arrival. A task closes
// a batch when it has seen a record that is later than the end of the batch by grace. If
// a record comes for a closed batch, it is dropped, and counted as dropped.
//
// A batch gives its result when all tasks have closed it. A task whose partitions get no
// new records therefore holds the results back. The interval cannot be changed later.
//
// A record with a timestamp in the far future closes all earlier batches of its task.
// topology.TimestampFrom can drop such records.
func ByRecordTime(grace time.Duration) EveryOption {
	return func(e *every) {
		e.byRecordTime, e.grace = true, grace.Milliseconds()
		if grace < 0 {
			e.mistake = fmt.Sprintf("the grace %v must not be negative", grace)
		}
	}
}

// Builder returns the builder that the batches belong to.
func (b Batches[K, V]) Builder() *topology.Builder { return b.made().e.plan.b }

// made returns b. If b is the zero value, made panics with a message that says how
// Batches are made.
func (b Batches[K, V]) made() Batches[K, V] {
	if b.e == nil {
		panic("batch: the Batches were not made by Every")
	}
	return b
}
