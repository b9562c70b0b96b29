package topology

import (
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
)

// Option is an option of an operator without state.
type Option interface{ applyNode(*nodeOptions) }

type nodeOptions struct {
	name string
}

// withoutNil leaves out the options that are nil: they change nothing.
func withoutNil[O comparable](opts []O) []O {
	var none O
	return slices.DeleteFunc(slices.Clone(opts), func(o O) bool { return o == none })
}

func nameOf(opts []Option) string {
	var c nodeOptions
	for _, o := range withoutNil(opts) {
		o.applyNode(&c)
	}
	return c.name
}

// NameOption is made by [Named].
type NameOption struct{ name string }

// Named names an operator that has no name of its own: in errors, in logs, in Describe,
// and for processor.Context.ForwardTo. Default: derived from the nearest operator above
// that has one.
func Named(name string) NameOption { return NameOption{name} }

func (o NameOption) applyNode(c *nodeOptions)     { c.name = o.name }
func (o NameOption) applySource(c *sourceOptions) { c.name = o.name }

func (o NameOption) applySourceTable(c *sourceTableOptions) { o.applySource(&c.source) }
func (o NameOption) applySink(c *sinkOptions)               { c.name = o.name }

// SourceOption is an option of [Source].
type SourceOption interface {
	SourceTableOption
	applySource(*sourceOptions)
}

type sourceOptions struct {
	nodeOptions
	graph.SourceOptions
	timestamps operator.TimestampRule
	extractor  any // func(processor.Record[K, V], processor.Timestamp) (processor.Timestamp, error)
}

type sourceOption func(*sourceOptions)

func (o sourceOption) applySource(c *sourceOptions)           { o(c) }
func (o sourceOption) applySourceTable(c *sourceTableOptions) { o(&c.source) }

// SkipInvalidTimestamps drops records whose timestamp is negative, and counts them as
// dropped. By default such a record is an error of the phase decode.
func SkipInvalidTimestamps() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.timestamps = operator.SkipInvalid })
}

// PartitionTimeForInvalid gives a record with a negative timestamp the largest timestamp
// that its partition has had so far; there being none yet is an error.
func PartitionTimeForInvalid() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.timestamps = operator.PartitionTimeForInvalid })
}

// TimestampFrom takes the event time of a record from f, which is given the record with
// the timestamp that Kafka has for it, and the largest timestamp of the partition so far
// (-1 at first). A negative result drops the record, and counts it as dropped. An error
// is one of the phase decode. The result 0 is 1970, not a missing timestamp: if a record
// has none, f returns the record's Kafka timestamp, a negative one or an error.
func TimestampFrom[K, V any](f func(r processor.Record[K, V], partitionTime processor.Timestamp) (processor.Timestamp, error)) SourceOption {
	return sourceOption(func(c *sourceOptions) { c.timestamps, c.extractor = operator.Extracted, f })
}

// StartAtLatest lets a group that has no committed offset start at the end of the topic.
// Default: at the beginning.
func StartAtLatest() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.StartAt = graph.Latest })
}

// OutOfRangeEarliest goes on at the beginning of the log when a committed offset is not
// in it any more. By default that is an error.
func OutOfRangeEarliest() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.OutOfRange = graph.OutOfRangeEarliest })
}

// OutOfRangeLatest goes on at the end of the log when a committed offset is not in it any
// more. By default that is an error.
func OutOfRangeLatest() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.OutOfRange = graph.OutOfRangeLatest })
}

// SinkOption is an option of [Stream.To] and [Stream.ToTopic].
type SinkOption interface{ applySink(*sinkOptions) }

type sinkOptions struct {
	nodeOptions
	partitioner any // func(processor.Record[K, V], int32) []int32
}

// PartitionerOption is made by [Partitioner].
type PartitionerOption struct{ f any }

// Partitioner chooses the partitions of a record, of n: nil leaves it to Kafka's default
// partitioner, an empty slice drops the record (and counts it as dropped), several
// partitions get a copy each. The slice is read before f is called again. K and V are
// those of the stream.
func Partitioner[K, V any](f func(r processor.Record[K, V], n int32) []int32) PartitionerOption {
	return PartitionerOption{f}
}

func (o PartitionerOption) applySink(c *sinkOptions)               { c.partitioner = o.f }
func (o PartitionerOption) applyRepartition(c *repartitionOptions) { c.partitioner = o.f }

// RepartitionOption is an option of [Repartition].
type RepartitionOption interface{ applyRepartition(*repartitionOptions) }

type repartitionOptions struct {
	partitions  int32
	fixed       bool
	partitioner any
}

// GroupOption is an option of [GroupBy], [GroupByRecord] and [GroupByKey].
type GroupOption interface{ applyGroup(*repartitionOptions) }

// PartitionsOption is made by [Partitions].
type PartitionsOption struct{ n int32 }

// Partitions is the number of partitions of the repartition topic. Default: as many as
// the largest topic that feeds it. A topic that exists with another number is an error at
// start.
func Partitions(n int32) PartitionsOption { return PartitionsOption{n} }

func (o PartitionsOption) applyRepartition(c *repartitionOptions) { c.partitions, c.fixed = o.n, true }
func (o PartitionsOption) applyGroup(c *repartitionOptions)       { c.partitions, c.fixed = o.n, true }

// TableOption is an option of an aggregation without windows.
type TableOption interface{ applyTable(*tableOptions) }

// WindowedTableOption is an option of a windowed aggregation.
type WindowedTableOption interface{ applyWindowedTable(*tableOptions) }

type tableOptions struct {
	everyUpdate      bool
	inMemory         bool
	withoutChangelog bool
	withoutStore     bool
	retention        time.Duration
	hasRetention     bool
}

// StoreOption is an option of any operator that keeps a table in a store.
type StoreOption struct{ apply func(*tableOptions) }

func (o StoreOption) applyTable(c *tableOptions) {
	if o.apply != nil { // the zero value changes nothing
		o.apply(c)
	}
}

func (o StoreOption) applyWindowedTable(c *tableOptions)     { o.applyTable(c) }
func (o StoreOption) applyToTable(c *tableOptions)           { o.applyTable(c) }
func (o StoreOption) applySourceTable(c *sourceTableOptions) { o.applyTable(&c.table) }

// EveryUpdate forwards and logs each update of the table. By default the updates of a row
// between two commits merge into one.
func EveryUpdate() StoreOption { return StoreOption{func(c *tableOptions) { c.everyUpdate = true }} }

// InMemory keeps the table in memory instead of on disk; it is restored whole from its
// changelog at start.
func InMemory() StoreOption { return StoreOption{func(c *tableOptions) { c.inMemory = true }} }

// WithoutChangelog keeps no changelog: the table is lost with the disk (with InMemory:
// with the process), and does not go along when its task moves to another process: the
// task goes on there with what that process has of it, which is nothing, or, on its disk,
// the rows of an earlier time when it had the task. A crash may lose the changes of the
// last commit too: they reach the disk after Kafka has confirmed it, and nothing else
// keeps them.
func WithoutChangelog() StoreOption {
	return StoreOption{func(c *tableOptions) { c.withoutChangelog = true }}
}

type windowedTableOption func(*tableOptions)

func (o windowedTableOption) applyWindowedTable(c *tableOptions) { o(c) }

// Retention is how long rows of a windowed table can be queried, in stream time after the
// window's start. Default, and the least that is allowed: the window's size plus the
// grace.
func Retention(d time.Duration) WindowedTableOption {
	return windowedTableOption(func(c *tableOptions) { c.retention, c.hasRetention = d, true })
}

// SourceTableOption is an option of [SourceTable]: a [SourceOption], a [StoreOption] or
// [WithoutStore].
type SourceTableOption interface{ applySourceTable(*sourceTableOptions) }

type sourceTableOptions struct {
	source sourceOptions
	table  tableOptions
}

// ToTableOption is an option of [Stream.ToTable]: a [StoreOption] or [WithoutStore].
type ToTableOption interface{ applyToTable(*tableOptions) }

// WithoutStoreOption is made by [WithoutStore].
type WithoutStoreOption struct{}

// WithoutStore does not keep the rows of a table. Each record is then forwarded at once,
// the rows cannot be queried, and an operator that needs the old rows cannot be attached.
func WithoutStore() WithoutStoreOption { return WithoutStoreOption{} }

func (WithoutStoreOption) applyToTable(c *tableOptions)           { c.withoutStore = true }
func (WithoutStoreOption) applySourceTable(c *sourceTableOptions) { c.table.withoutStore = true }
