package topologytest

import (
	"log/slog"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// Option is an option of [New].
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
	logger         *slog.Logger
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
	}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// ApplicationID is the application ID, which internal topics have in front of their
// names. Default: "test".
func ApplicationID(id string) Option { return func(o *options) { o.applicationID = id } }

// Partitions sets the number of partitions of a topic that is not internal. Default, and
// least: 1. Internal topics have as many as they would have in production.
func Partitions(topic string, n int32) Option {
	return func(o *options) { o.partitions[topic] = max(n, 1) }
}

// CommitInterval commits when so much time has passed on the driver's clock since the
// last commit, when a processor asks for it, and at [Driver.Commit]. Default: 0, which
// commits after each Send and each step of the clock.
func CommitInterval(d time.Duration) Option { return func(o *options) { o.commitInterval = d } }

// Start is the time on the driver's clock at first. Default: 2020-01-01T00:00:00Z.
func Start(at time.Time) Option { return func(o *options) { o.start = at } }

// EveryUpdate is Config.EveryUpdate of the application: tables forward each update, not
// one for each commit.
func EveryUpdate() Option { return func(o *options) { o.everyUpdate = true } }

// JavaOrder processes in the order of Kafka Streams' TopologyTestDriver: one task runs
// all sub-topologies, with one stream time, over the first partition of every topic; the
// record with the smallest head timestamp is first, and each record is committed by
// itself. Advance moves the clock in one step.
//
// It is for comparing with tests of a Java program. It shows an order that production
// does not have: there, sub-topologies run in tasks of their own.
func JavaOrder() Option { return func(o *options) { o.javaOrder = true } }

// ErrorPolicy is Config.Errors of the application. Default: every error fails. The pauses
// between retries take no time.
func ErrorPolicy(p processor.ErrorPolicy) Option { return func(o *options) { o.policy = p } }

// MaxMessageBytes sets max.message.bytes of a topic. Default: Kafka's, 1048588. The
// driver compares the size before compression; a broker compares the compressed size.
func MaxMessageBytes(topic string, n int) Option {
	return func(o *options) { o.maxBytes[topic] = n }
}

// Workers spreads the tasks over n workers, each with transactions of its own. Default:
// 1, so that all tasks commit and abort together.
func Workers(n int) Option { return func(o *options) { o.workers = max(n, 1) } }

// OnDisk keeps state in directories of the test (see testing.TB.TempDir). Default: in
// memory, through the same database.
func OnDisk() Option { return func(o *options) { o.onDisk = true } }

// Logger is where the tasks log. Default: nowhere.
func Logger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }
