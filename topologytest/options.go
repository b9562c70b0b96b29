package topologytest

import (
	"log/slog"
	"time"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/processor"
)

// Option is an option of [New]. A nil Option has no effect.
type Option func(*options)

type options struct {
	applicationID  string
	partitions     map[string]int32
	maxBytes       map[string]int
	topics         []string
	commitInterval time.Duration
	start          time.Time
	everyUpdate    bool
	javaOrder      bool
	policy         processor.ErrorPolicy
	workers        int
	onDisk         bool
	noShortcuts    bool // see package seam
	combine        bool // see package seam
	sweepRows      int  // see package seam
	logger         *slog.Logger
}

// levers are the defaults of the options that are not for users.
var levers struct{ noShortcuts, combine bool }

func init() {
	seam.NoShortcuts = func() any { return Option(func(o *options) { o.noShortcuts = true }) }
	seam.SweepRows = func(n int) any { return Option(func(o *options) { o.sweepRows = n }) }
	seam.SetLevers = func(shortcuts, combining bool) { levers.noShortcuts, levers.combine = !shortcuts, combining }
	seam.Combining = func() any { return Option(func(o *options) { o.combine = true }) }
}

// defaultMaxBytes is Kafka's default of max.message.bytes.
const defaultMaxBytes = 1048588

func newOptions(opts []Option) options {
	o := options{
		applicationID: "test",
		partitions:    map[string]int32{},
		maxBytes:      map[string]int{},
		start:         time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		workers:       1,
		noShortcuts:   levers.noShortcuts,
		combine:       levers.combine,
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
}

// ApplicationID sets the application ID, with which the names of internal topics begin.
// Default: "test".
func ApplicationID(id string) Option { return func(o *options) { o.applicationID = id } }

// Partitions sets the number of partitions of a topic that is not internal. Minimum and
// default: 1. Internal topics have as many as in production.
func Partitions(topic string, n int32) Option {
	return func(o *options) { o.partitions[topic] = max(n, 1) }
}

// CommitInterval commits when this much time has passed on the driver's clock since the
// last commit. It also commits when a processor asks for it, and at [Driver.Commit].
// Default: 0, which commits after each Send and each step of the clock.
func CommitInterval(d time.Duration) Option { return func(o *options) { o.commitInterval = d } }

// Start sets the initial time of the driver's clock. Default: 2020-01-01T00:00:00Z.
func Start(at time.Time) Option { return func(o *options) { o.start = at } }

// EveryUpdate is like Config.EveryUpdate of an application: tables forward each update,
// instead of one update per row and commit.
func EveryUpdate() Option { return func(o *options) { o.everyUpdate = true } }

// JavaOrder processes records in the order of Kafka Streams' TopologyTestDriver:
//
//   - One task runs all sub-topologies, with one stream time, over the first partition of
//     every topic.
//   - The record with the smallest head timestamp is first.
//   - Each record is committed alone.
//   - Advance moves the clock in one step.
//
// Use it to compare with tests of a Java program. Production has another order, because
// its sub-topologies run in separate tasks.
func JavaOrder() Option { return func(o *options) { o.javaOrder = true } }

// ErrorPolicy is like Config.Errors of an application. Default: every error fails. Pauses
// between retries take no time.
func ErrorPolicy(p processor.ErrorPolicy) Option { return func(o *options) { o.policy = p } }

// MaxMessageBytes sets max.message.bytes of a topic. The driver compares it with the size
// before compression; a broker compares the compressed size. Default: Kafka's default,
// 1048588.
func MaxMessageBytes(topic string, n int) Option {
	return func(o *options) { o.maxBytes[topic] = n }
}

// Workers distributes the tasks to n workers, each with its own transactions. Default: 1,
// so all tasks commit and abort together.
func Workers(n int) Option { return func(o *options) { o.workers = max(n, 1) } }

// OnDisk keeps state in directories of the test (see testing.TB.TempDir). Default: the
// same database in memory.
func OnDisk() Option { return func(o *options) { o.onDisk = true } }

// Logger sets the logger of the tasks. Default: no log.
func Logger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }
