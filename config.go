package millrace

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/processor"
)

// Guarantee says how often an input record takes effect.
type Guarantee int

const (
	// ExactlyOnce commits results, state and offsets in one transaction.
	ExactlyOnce Guarantee = iota
	// AtLeastOnce sends results at once and commits offsets afterwards. After a crash,
	// records may be processed twice. Their effect on state and results is then doubled.
	// A session that was sent right before the crash may stay in the output beside the
	// longer one that it has become.
	AtLeastOnce
)

// String returns "exactly-once" or "at-least-once".
func (g Guarantee) String() string {
	if g == AtLeastOnce {
		return "at-least-once"
	}
	return "exactly-once"
}

// OnClose says what happens to the group membership when Run ends gracefully.
type OnClose int

const (
	// Leave leaves the group, so that other processes take over the partitions at once.
	Leave OnClose = iota
	// Stay keeps the membership. The partitions wait for this process, which must be back
	// within SessionTimeout. Use it for rolling restarts.
	Stay
)

// Restart says where a task starts to read an input whose position is lost while the
// state made from that input still exists. See docs/lost-offsets.md.
type Restart int

const (
	// RestartRefused ends Run with an error that names the inputs and the choices.
	RestartRefused Restart = iota
	// RestartEarliest starts at the first record in the log.
	RestartEarliest
	// RestartLatest starts behind the last record in the log.
	RestartLatest
)

func (r Restart) valid() bool { return r >= RestartRefused && r <= RestartLatest }

// Config is the configuration of an App. The zero value of a field means its default. New
// checks all fields.
type Config struct {
	// ApplicationID names the application in Kafka: it is the name of the consumer group,
	// and the prefix of internal topics and transactional IDs. All processes of one
	// application must have the same ID and the same topology. Allowed are letters,
	// digits, dot, underscore and hyphen. Required.
	ApplicationID string

	// Brokers are the seed brokers, as host:port. Required, unless ClientOptions has
	// kgo.SeedBrokers.
	Brokers []string

	// StateDir is the directory for the state and the identity of this process. Required.
	//
	//   - Run creates and locks StateDir/<ApplicationID>. Two processes of one
	//     application must not share it.
	//   - A process that starts with the directory of a dead process takes its place,
	//     without a rebalance.
	//   - Never copy the directory to a second running process.
	//   - If the directory is lost, the state is restored from Kafka.
	StateDir string

	// Guarantee is ExactlyOnce or AtLeastOnce. Default: ExactlyOnce.
	Guarantee Guarantee

	// Errors says what happens to records that cannot be decoded, processed or produced.
	// Default: Fail.
	Errors processor.ErrorPolicy

	// EveryUpdate makes every table forward each update, instead of one update per row
	// and commit. A single table can have this with topology.EveryUpdate. Default: false.
	EveryUpdate bool

	// Workers is the number of goroutines that process records. Each has its own
	// producer. Default: runtime.GOMAXPROCS(0).
	Workers int

	// CommitInterval is the longest time between the processing of a record and the
	// commit of its results. A worker without further work commits earlier, after a tenth
	// of it, unless all records went to processors that are patient: see
	// processor.Patient. It must be at most half of TransactionTimeout. Default: 100 ms.
	CommitInterval time.Duration

	// TransactionTimeout is the time after which Kafka aborts the transaction of a
	// process that has died and not come back. Readers of the results wait as long.
	//
	// A user function that runs longer than half of this timeout is logged. If the
	// overrun could commit its record twice, the record goes to the error policy instead.
	//
	// With AtLeastOnce, the timeout has no effect except on that log line. At least 1 s.
	// Default: 10 s.
	TransactionTimeout time.Duration

	// SessionTimeout is the time after which the partitions of a process that has died
	// and not come back move to other processes. It must lie between the broker's
	// group.min.session.timeout.ms and group.max.session.timeout.ms. Default: 15 s.
	SessionTimeout time.Duration

	// CloseTimeout bounds the time from the end of Run's context, or from a failure, to
	// the return of Run. It includes draining, the last commits, leaving the group and
	// closing everything.
	//
	//   - Shortly before the timeout (a fifth of it, at most 1 s), the context of user
	//     code and of requests to brokers ends.
	//   - If something is still stuck at the timeout, Run returns an error that names it.
	//     The state directory stays locked until the stuck part returns or the process
	//     ends.
	//   - The next process handles the records that were not committed.
	//
	// Default: 20 s. Kubernetes grants 30 s.
	CloseTimeout time.Duration

	// OnClose is Leave or Stay. Default: Leave.
	OnClose OnClose

	// LostOffsets says where a task starts to read an input whose committed offset
	// expired or was deleted. RestartEarliest counts records twice; RestartLatest omits
	// some.
	//
	// It applies only if all of these are true: the state was made from the input, the
	// task was not stopped in order, and no disk has the complete state. Set it for one
	// start only, because it would hide the next loss. Default: RestartRefused, so Run
	// returns an error.
	LostOffsets Restart

	// RecreatedInputs says where a task starts to read an input topic that was deleted
	// and created again, if its state was made from the former topic. RestartEarliest
	// adds all records of the new topic to the state. Default: RestartRefused, so Run
	// returns an error.
	RecreatedInputs Restart

	// StateMemory bounds the bytes that stores hold in memory in this process: caches,
	// uncommitted changes, and the write buffers of the databases. Data that processors
	// hold until the next commit, such as partial results of batches, counts too (see
	// processor.Context.SetHeld). If the bound is exceeded, workers commit early. Stores
	// with the option InMemory are not counted. The database of each task with a store on
	// disk takes up to 1 MiB more. At least 16 MiB. Default: 256 MiB.
	StateMemory int64

	// BufferMemory bounds the bytes of records that were fetched and not yet processed.
	// The records that one fetch brings of a partition count until the last of them has
	// been processed. When the memory is used up, nothing more is fetched. Before that, a
	// partition with far more than its share is paused until it is down to half of its
	// share. A partition that a task waits for is fetched in any case. On top can come
	// one fetch per broker (a quarter of these bytes), and memory that was used for
	// records and is kept for the next ones (up to a half). At least 1 MiB. Default:
	// 16 MiB.
	BufferMemory int64

	// TaskIdle is how long a task waits for new records of an input partition that it has
	// read to the end, before it processes records of its other partitions. If producers
	// are late, waiting makes it more likely that records are processed in the order of
	// their timestamps. It corresponds to Kafka Streams' max.task.idle.ms:
	//
	//   - The time starts when the partition is found empty. Once it is over, the
	//     partition delays no record until it has had a new one. A start, a rebalance and
	//     an abort restart the time.
	//   - While a task waits, its wall-clock punctuators run, its work is committed, and
	//     other tasks continue. Closing does not wait for it.
	//   - A task with one partition never waits.
	//
	// For records that the broker already has, a task always waits, whatever TaskIdle is.
	// No value switches this off, because a replay would then process records in another
	// order. Default: 0, no waiting for new records.
	TaskIdle time.Duration

	// ReplicationFactor is the replication factor of internal topics that this process
	// creates. Default: -1, the default of the brokers.
	ReplicationFactor int16

	// RemoveStores names stores that the application had and that are no longer in the
	// topology. If such a store holds rows and is not named here, the start is refused.
	// If it is named, these things happen once the group has given this process a task:
	//
	//   - The changelog topic is deleted with all its rows.
	//   - The registry in Kafka records that the store was removed. Later starts, of this
	//     and of other processes, need not name it.
	//   - The rows in a state directory are deleted when that directory is next opened.
	//     In this process, that is at the start.
	//
	// A store that is added again later is a new store, also under the same name: see
	// StartEmpty. Renaming a store means removing one store and adding another. If the
	// topology has a store of that name, the store is not removed, and a warning is
	// logged.
	//
	// Take the names from a flag or an environment variable, so that a release that added
	// a store can be rolled back without a new build. Default: none.
	RemoveStores []string

	// StartEmpty names new stores that may lack the records that were processed before
	// they were added. If the application has processed records that would have reached a
	// store, and has never had the store, the start is refused unless the store is named
	// here. Examples: an aggregation that is added to a stream, GroupTable on a table, a
	// table that gets a store, a join of streams, a processor's store.
	//
	//   - A named store gets only records that are processed from now on. An aggregation
	//     of a table may then subtract an old row that it has never added: fill such a
	//     store instead.
	//   - Once the group has given this process a task, the registry in Kafka records the
	//     store. Later starts, of this and of other processes, need not name it.
	//   - A store that the application has, but that gets records of a further topic, is
	//     refused in the same way if records of that topic were processed before,
	//     elsewhere in the topology. If it is named, it goes on without these records.
	//   - To fill the store instead, let the application process its inputs again: give
	//     it another ID, or reset it.
	//   - These stores are never refused: a store whose inputs are all new, because it
	//     gets all their records; a table whose topic is its changelog
	//     (topology.SourceAsChangelog), because it is filled from the topic; a store in
	//     memory without a changelog, because it is empty after every start; the store of
	//     Suppress, of Grace, or of the unmatched records of a left or outer join of
	//     streams, because it only has records that wait.
	//
	// Default: none.
	StartEmpty []string

	// WaitForTopics makes Run wait for input and output topics that do not exist, with a
	// line in the log. Default: false; Run returns an error that names the missing
	// topics.
	WaitForTopics bool

	// Logger gets states, decisions, and retries with their causes. It gets no records.
	// Default: slog.Default(). For silence, use slog.New(slog.DiscardHandler).
	Logger *slog.Logger

	// Hooks are told about events. Each must implement at least one of the Hook
	// interfaces of this package.
	Hooks []Hook

	// ClientOptions are passed to every Kafka client of the application: TLS, SASL,
	// dialer, client ID, compression, kgo hooks. New refuses options that choose topics
	// or partitions to consume, name a group or set a transactional ID, because Millrace
	// sets them itself. Run refuses a kgo.MaxVersions that is too old for the guarantee.
	ClientOptions []kgo.Opt
}

const (
	defaultCommitInterval     = 100 * time.Millisecond
	defaultTransactionTimeout = 10 * time.Second
	defaultSessionTimeout     = 15 * time.Second
	defaultCloseTimeout       = 20 * time.Second
	defaultStateMemory        = 256 << 20
	defaultBufferMemory       = 16 << 20
	minStateMemory            = 16 << 20
	minBufferMemory           = 1 << 20
	minSessionTimeout         = 100 * time.Millisecond           // the client's minimum
	maxTimeout                = math.MaxInt32 * time.Millisecond // the protocol's maximum
)

// withDefaults returns the configuration with zero values replaced.
func (c Config) withDefaults() Config {
	setDefault(&c.Workers, runtime.GOMAXPROCS(0))
	setDefault(&c.CommitInterval, defaultCommitInterval)
	setDefault(&c.TransactionTimeout, defaultTransactionTimeout)
	setDefault(&c.SessionTimeout, defaultSessionTimeout)
	setDefault(&c.CloseTimeout, defaultCloseTimeout)
	setDefault(&c.StateMemory, defaultStateMemory)
	setDefault(&c.BufferMemory, defaultBufferMemory)
	setDefault(&c.ReplicationFactor, -1)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports every problem. The defaults must be set already.
func (c Config) validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf("Config."+format, args...))
		}
	}
	check(c.ApplicationID != "", "ApplicationID is empty: set the name of the application in Kafka")
	check(c.ApplicationID == "" || validID(c.ApplicationID), "ApplicationID is %q: use at most 200 letters, digits, '.', '_' and '-'", c.ApplicationID)
	for i, broker := range c.Brokers {
		check(broker != "", "Brokers[%d] is empty: use host:port", i)
		check(!strings.ContainsAny(broker, ",/ "), "Brokers[%d] is %q: use one host:port per element", i, broker)
	}
	problems = append(problems, c.validateClients()...)
	check(c.StateDir != "", "StateDir is empty: set a directory that outlives the process")
	check(c.Guarantee == ExactlyOnce || c.Guarantee == AtLeastOnce, "Guarantee is %d: use ExactlyOnce or AtLeastOnce", int(c.Guarantee))
	check(c.OnClose == Leave || c.OnClose == Stay, "OnClose is %d: use Leave or Stay", int(c.OnClose))
	check(c.LostOffsets.valid(), "LostOffsets is %d: use RestartRefused, RestartEarliest or RestartLatest", int(c.LostOffsets))
	check(c.RecreatedInputs.valid(), "RecreatedInputs is %d: use RestartRefused, RestartEarliest or RestartLatest", int(c.RecreatedInputs))
	check(c.Workers > 0, "Workers is %d: use at least 1", c.Workers)
	check(c.TransactionTimeout >= time.Second, "TransactionTimeout is %v: use at least 1s", c.TransactionTimeout)
	check(c.TransactionTimeout <= maxTimeout, "TransactionTimeout is %v: use at most %v, the largest value that Kafka's protocol can carry", c.TransactionTimeout, maxTimeout)
	check(c.CommitInterval > 0, "CommitInterval is %v: use a positive value", c.CommitInterval)
	check(c.CommitInterval <= c.TransactionTimeout/2, "CommitInterval is %v: use at most half of TransactionTimeout (%v)", c.CommitInterval, c.TransactionTimeout)
	check(c.TaskIdle >= 0, "TaskIdle is %v: use 0 or more (a task always waits for records that the broker already has)", c.TaskIdle)
	check(c.SessionTimeout >= minSessionTimeout, "SessionTimeout is %v: use at least %v", c.SessionTimeout, minSessionTimeout)
	check(c.SessionTimeout <= maxTimeout, "SessionTimeout is %v: use at most %v, the largest value that Kafka's protocol can carry", c.SessionTimeout, maxTimeout)
	check(c.CloseTimeout > 0, "CloseTimeout is %v: use a positive value", c.CloseTimeout)
	check(c.StateMemory >= minStateMemory, "StateMemory is %d bytes: use at least %d", c.StateMemory, minStateMemory)
	check(c.BufferMemory >= minBufferMemory, "BufferMemory is %d bytes: use at least %d", c.BufferMemory, minBufferMemory)
	check(c.ReplicationFactor > 0 || c.ReplicationFactor == -1, "ReplicationFactor is %d: use at least 1, or -1 for the brokers' default", c.ReplicationFactor)
	if err := c.Errors.Validate(); err != nil {
		for line := range strings.Lines(err.Error()) {
			problems = append(problems, errors.New("Config.Errors."+strings.TrimSuffix(line, "\n")))
		}
	}
	for i, h := range c.Hooks {
		check(isHook(h), "Hooks[%d] is a %T, which implements none of the Hook interfaces: check its methods", i, h)
	}
	return errors.Join(problems...)
}

// noBrokers stands for missing seed brokers. Without it, kgo would use its own default,
// the local machine.
const noBrokers = "no-brokers.invalid:1"

// validateClients makes a client to check the brokers and the options. The client does
// not connect by itself.
func (c Config) validateClients() []error {
	if i := slices.Index(c.ClientOptions, nil); i >= 0 {
		return []error{fmt.Errorf("Config.ClientOptions[%d] is nil: remove it", i)}
	}
	seeds := []string{noBrokers}
	if len(c.Brokers) > 0 {
		seeds = slices.DeleteFunc(slices.Clone(c.Brokers), func(broker string) bool { return broker == "" })
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...)}, c.ClientOptions...)...)
	if err != nil {
		return []error{fmt.Errorf("Config.Brokers or Config.ClientOptions: %w", err)}
	}
	defer cl.Close()
	var problems []error
	if given, _ := cl.OptValue(kgo.SeedBrokers).([]string); slices.Equal(given, []string{noBrokers}) {
		problems = append(problems, errors.New("Config.Brokers is empty: set at least one host:port"))
	}
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"kgo.ConsumerGroup", cl.OptValue(kgo.ConsumerGroup) != ""},
		{"kgo.TransactionalID", cl.OptValue(kgo.TransactionalID) != ""},
		{"kgo.ConsumeTopics", !emptyOption(cl.OptValue(kgo.ConsumeTopics))},
		{"kgo.ConsumePartitions", !emptyOption(cl.OptValue(kgo.ConsumePartitions))},
	} {
		if option.set {
			problems = append(problems, fmt.Errorf("Config.ClientOptions has %s, which Millrace sets itself: remove it", option.name))
		}
	}
	return problems
}

// emptyOption reports whether an option that takes a collection was not given.
func emptyOption(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Len() == 0
}

// validID reports whether id can be part of a topic name. Kafka allows 249 characters;
// 200 leave room for the rest of the name.
func validID(id string) bool {
	if id == "." || id == ".." || len(id) > 200 {
		return false
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		default:
			return false
		}
	}
	return true
}
