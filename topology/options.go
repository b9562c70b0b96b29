package topology

import (
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// Option is an option of an operator without state.
type Option interface{ applyNode(*nodeOptions) }

type nodeOptions struct {
	name string
}

// withoutNil removes options that are nil. They have no effect.
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

// Named gives a name to an operator. The name appears in errors, in logs and in Describe,
// and is used by processor.Context.ForwardTo. Default: a name that is derived from the
// nearest named operator above.
func Named(name string) NameOption { return NameOption{name} }

func (o NameOption) applyNode(c *nodeOptions)     { c.name = o.name }
func (o NameOption) applySource(c *sourceOptions) { c.name = o.name }

func (o NameOption) applySourceTable(c *sourceTableOptions) { o.applySource(&c.source) }
func (o NameOption) applySink(c *sinkOptions)               { c.name = o.name }
func (o NameOption) applyGlobal(c *globalOptions)           { c.name = o.name }

// SourceOption is an option of [Source], [Sources] and [SourcePattern]. A global store
// takes those about timestamps.
type SourceOption interface {
	SourceTableOption
	GlobalOption
	applySource(*sourceOptions)
}

type sourceOptions struct {
	nodeOptions
	graph.SourceOptions
	timestamps operator.TimestampRule
	extractor  any // the function of TimestampFrom
}

type sourceOption func(*sourceOptions)

func (o sourceOption) applySource(c *sourceOptions)           { o(c) }
func (o sourceOption) applySourceTable(c *sourceTableOptions) { o(&c.source) }
func (o sourceOption) applyGlobal(c *globalOptions)           { o(&c.source) }

// SkipInvalidTimestamps drops records whose timestamp is negative, and counts them as
// dropped. By default such a record is an error of the phase decode.
func SkipInvalidTimestamps() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.timestamps = operator.SkipInvalid })
}

// PartitionTimeForInvalid replaces a negative timestamp by the largest timestamp that the
// partition has had so far. If there is none yet, the record is an error of the phase
// decode.
func PartitionTimeForInvalid() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.timestamps = operator.PartitionTimeForInvalid })
}

// TimestampFrom takes the event time of a record from f. f is given the record with
// Kafka's timestamp, and the largest timestamp of the partition so far (-1 at first).
//
//   - If f returns a negative timestamp, the record is dropped, and counted as dropped.
//   - If f returns an error, it is an error of the phase decode.
//   - If f returns 0, the time is 1970. A missing timestamp is not 0: for a record
//     without one, return its Kafka timestamp, a negative number or an error.
func TimestampFrom[K, V any](f func(r processor.Record[K, V], partitionTime processor.Timestamp) (processor.Timestamp, error)) SourceOption {
	return sourceOption(func(c *sourceOptions) { c.timestamps, c.extractor = operator.Extracted, f })
}

// StartAtLatest makes a group without a committed offset start at the end of the topic.
// Default: at the beginning. A topic that matches the pattern of a [SourcePattern] only
// since the application was first started is read from its beginning nevertheless. So are
// partitions that a topic of a SourcePattern has only since then.
func StartAtLatest() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.StartAt = graph.Latest })
}

// OutOfRangeEarliest continues at the beginning of the log if a committed offset is no
// longer in the log. Default: an error.
func OutOfRangeEarliest() SourceOption {
	return sourceOption(func(c *sourceOptions) { c.OutOfRange = graph.OutOfRangeEarliest })
}

// OutOfRangeLatest continues at the end of the log if a committed offset is no longer in
// the log. Default: an error.
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

// Partitioner chooses the partitions of a record. n is the number of partitions of the
// topic. The result of f decides:
//
//   - nil: Kafka's default partitioner chooses.
//   - an empty slice: the record is dropped, and counted as dropped.
//   - several partitions: each gets a copy of the record.
//
// The slice is read before f is called again. K and V must be the types of the stream.
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
	withoutKey  bool // records without a key go through the topic too
	allWithKey  bool // there are no records without a key
}

// GroupOption is an option of [GroupBy], [GroupByRecord] and [GroupByKey].
type GroupOption interface{ applyGroup(*repartitionOptions) }

// PartitionsOption is made by [Partitions].
type PartitionsOption struct{ n int32 }

// Partitions sets the number of partitions of the repartition topic. Default: the number
// of the largest topic that feeds it. If the topic exists with another number, the start
// fails.
func Partitions(n int32) PartitionsOption { return PartitionsOption{n} }

func (o PartitionsOption) applyRepartition(c *repartitionOptions) { c.partitions, c.fixed = o.n, true }
func (o PartitionsOption) applyGroup(c *repartitionOptions)       { c.partitions, c.fixed = o.n, true }

// TableOption is an option of an aggregation without windows.
type TableOption interface{ applyTable(*tableOptions) }

// WindowedTableOption is an option of a windowed aggregation.
type WindowedTableOption interface{ applyWindowedTable(*tableOptions) }

type tableOptions struct {
	ttl              time.Duration
	mortal           bool
	history          time.Duration
	versioned        bool
	everyUpdate      bool
	inMemory         bool
	withoutChangelog bool
	withoutStore     bool
	fromTopic        bool // the changelog is the topic of the table; set by SourceTable
	retention        time.Duration
	hasRetention     bool
	idleAfter        time.Duration
	idle             bool
	migrations       *store.Migrations
	combine          any // the function of Combine; nil without the option
}

// ofStore returns the options as a store takes them.
func (o tableOptions) ofStore() store.Options {
	return store.Options{
		InMemory: o.inMemory, NoChangelog: o.withoutChangelog, EveryUpdate: o.everyUpdate,
		TTL: o.ttl, Mortal: o.mortal, Migrations: o.migrations,
	}
}

// JoinWindowOption is an option of [JoinWindow] and its kin: a [StoreOption].
type JoinWindowOption interface{ applyJoinWindow(*tableOptions) }

// StoreOption is an option of any operator that keeps a table in a store, and of the
// joins of two streams.
type StoreOption struct{ apply func(*tableOptions) }

func (o StoreOption) applyTable(c *tableOptions) {
	if o.apply != nil { // the zero value has no effect
		o.apply(c)
	}
}

func (o StoreOption) applyWindowedTable(c *tableOptions)     { o.applyTable(c) }
func (o StoreOption) applyToTable(c *tableOptions)           { o.applyTable(c) }
func (o StoreOption) applyJoinWindow(c *tableOptions)        { o.applyTable(c) }
func (o StoreOption) applySourceTable(c *sourceTableOptions) { o.applyTable(&c.table) }
func (o StoreOption) applyGlobal(c *globalOptions)           { o.applyTable(&c.table) }

// EveryUpdate forwards and logs each update of the table. By default, the updates of a
// row between two commits are merged into one.
func EveryUpdate() StoreOption { return StoreOption{func(c *tableOptions) { c.everyUpdate = true }} }

// InMemory keeps the table in memory instead of on disk. At start the whole table is
// restored from its changelog, and a global table is read from its topic.
func InMemory() StoreOption { return StoreOption{func(c *tableOptions) { c.inMemory = true }} }

// WithoutChangelog keeps no changelog. The table then exists only in its local store:
//
//   - If the disk is lost, the table is lost. With InMemory, the table is lost with the
//     process.
//   - If the task moves to another process, the table does not move with it. The task
//     continues with what the new process has: usually nothing, or, if the process had
//     the task before, the old rows on its disk.
//   - A crash may also lose the changes of the last commit. They reach the disk only
//     after Kafka has confirmed the commit, and no other copy exists.
func WithoutChangelog() StoreOption {
	return StoreOption{func(c *tableOptions) { c.withoutChangelog = true }}
}

type windowedTableOption func(*tableOptions)

func (o windowedTableOption) applyWindowedTable(c *tableOptions) { o(c) }

// Retention is how long rows of a windowed table can be queried, in stream time after the
// start of the window. The minimum is the window size plus the grace. Default: the
// minimum. Sessions are kept after their end, for two gaps, the grace and a minute at
// least; see [Sessions]. Of a cogroup, rows are kept a minute longer; see
// [WindowedCogroup].
func Retention(d time.Duration) WindowedTableOption {
	return windowedTableOption(func(c *tableOptions) { c.retention, c.hasRetention = d, true })
}

// SourceTableOption is an option of [SourceTable]: a [SourceOption], a [StoreOption],
// [WithoutStore] or [SourceAsChangelog].
type SourceTableOption interface{ applySourceTable(*sourceTableOptions) }

type sourceTableOptions struct {
	source    sourceOptions
	table     tableOptions
	fromTopic bool
}

// GlobalOption is an option of [GlobalTable]: [InMemory], [Named], or a [SourceOption]
// about timestamps.
type GlobalOption interface{ applyGlobal(*globalOptions) }

type globalOptions struct {
	name   string // of the store; "": the topic's
	source sourceOptions
	table  tableOptions
}

// ToTableOption is an option of [Stream.ToTable]: a [StoreOption] or [WithoutStore].
type ToTableOption interface{ applyToTable(*tableOptions) }

// WithoutStoreOption is made by [WithoutStore].
type WithoutStoreOption struct{}

// WithoutStore does not keep the rows of a table. Each record is forwarded at once. The
// rows cannot be queried, and an operator that needs old rows cannot be attached.
func WithoutStore() WithoutStoreOption { return WithoutStoreOption{} }

func (WithoutStoreOption) applyToTable(c *tableOptions)           { c.withoutStore = true }
func (WithoutStoreOption) applySourceTable(c *sourceTableOptions) { c.table.withoutStore = true }
