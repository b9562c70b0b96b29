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
	// AtLeastOnce sends results as they come and commits offsets afterwards: a crash can
	// process records twice, and their effect on state and results is then doubled.
	AtLeastOnce
)

// String returns "exactly-once" or "at-least-once".
func (g Guarantee) String() string {
	if g == AtLeastOnce {
		return "at-least-once"
	}
	return "exactly-once"
}

// OnClose says what a graceful end does about the group.
type OnClose int

const (
	// Leave leaves the group, so that others take the partitions over at once.
	Leave OnClose = iota
	// Stay keeps the membership: the partitions wait for this process, which has to be
	// back within SessionTimeout. For rolling restarts.
	Stay
)

// Restart says where a task begins to read an input whose position is lost, while the
// state that was made from it is still there. See docs/lost-offsets.md.
type Restart int

const (
	// RestartRefused ends Run with an error that names the inputs and the choices.
	RestartRefused Restart = iota
	// RestartEarliest begins at the first record that the log has.
	RestartEarliest
	// RestartLatest begins behind the last record that the log has.
	RestartLatest
)

func (r Restart) valid() bool { return r >= RestartRefused && r <= RestartLatest }

// Config is the configuration of an App. The zero value of a field is its default. New
// checks all fields.
type Config struct {
	// ApplicationID names the application in Kafka: the consumer group, and the prefix of
	// internal topics and transactional IDs. All processes of one application have the
	// same, and the same topology. Letters, digits, dot, underscore and hyphen. Required.
	ApplicationID string

	// Brokers are the seed brokers, host:port. Required, unless ClientOptions has
	// kgo.SeedBrokers.
	Brokers []string

	// StateDir is the directory of this process's state and identity, which are in a
	// folder of it with the name of the application. That is made if it is missing, and
	// locked: of one application, each process needs a directory of its own. Whoever
	// starts again with the directory of a dead process continues where that one was,
	// without a rebalance. Never copy it to a second process that runs. It may be lost:
	// state is then restored from Kafka. Required.
	StateDir string

	// Guarantee is ExactlyOnce by default.
	Guarantee Guarantee

	// Errors says what happens to records that cannot be decoded, processed or produced.
	// The default fails.
	Errors processor.ErrorPolicy

	// EveryUpdate makes every table forward each update instead of one per key and
	// commit. Default: false. Tables may ask for it on their own with
	// topology.EveryUpdate.
	EveryUpdate bool

	// Workers is the number of goroutines that process, each with a producer of its own.
	// Default: runtime.GOMAXPROCS(0).
	Workers int

	// CommitInterval is the longest time between a record and the commit of its results.
	// A worker with nothing left to do commits earlier. Default: 100 ms. At most half of
	// TransactionTimeout.
	CommitInterval time.Duration

	// TransactionTimeout is how long Kafka waits for a transaction of a process that has
	// died and does not come back, before it aborts it; readers of the results wait as
	// long. A user function that runs longer than half of it is reported, and its record
	// goes to the error policy when that keeps it from being committed twice. Default: 10
	// s. At least 1 s. No effect with AtLeastOnce, other than on that report.
	TransactionTimeout time.Duration

	// SessionTimeout is how long the group waits for a process that has died and does not
	// come back, before its partitions move. Default: 15 s. The broker's
	// group.min.session.timeout.ms and group.max.session.timeout.ms bound it.
	SessionTimeout time.Duration

	// CloseTimeout bounds the time from the end of Run's context, or from a failure, to
	// the return of Run: draining, the last commits, leaving the group and closing all
	// that is open. Shortly before (a fifth of it, at most 1 s) the context of user code
	// and of requests to brokers ends. If something is still stuck when the time is up,
	// Run returns an error that names it, and the state directory stays locked until it
	// returns or the process ends. Records that were not committed are processed again by
	// the next process. Default: 20 s, which leaves room within the 30 s that Kubernetes
	// grants.
	CloseTimeout time.Duration

	// OnClose is Leave by default.
	OnClose OnClose

	// LostOffsets says where a task begins to read an input whose committed offset
	// expired or was deleted. RestartEarliest counts records twice, RestartLatest leaves
	// some out. It applies only if the state was made from the input, the task was not
	// stopped in order, and no disk has the complete state. Set it for one start: it
	// would hide the next loss. Default: RestartRefused, so Run returns an error.
	LostOffsets Restart

	// RecreatedInputs says where a task begins to read an input topic that was deleted
	// and created again, if its state was made from the former topic. RestartEarliest
	// adds all records of the new topic to the state. Default: RestartRefused, so Run
	// returns an error.
	RecreatedInputs Restart

	// StateMemory bounds the bytes that the stores of this process hold in memory:
	// caches, changes that are not committed yet, and the database's write buffers. What
	// processors hold until the next commit counts as well (see processor.Context), as
	// the partial results of batches do. Exceeding it commits early. Stores that are kept
	// in memory on request are not counted. Default: 256 MiB. At least 16 MiB.
	StateMemory int64

	// BufferMemory bounds the bytes of records that were fetched and are not processed
	// yet. When it is used up, nothing is fetched; before that, a partition with far more
	// than its share is paused until it is down to half of it. A partition that a task
	// waits for is fetched all the same. One fetch per broker comes on top. Default: 64
	// MiB. At least 1 MiB.
	BufferMemory int64

	// TaskIdle is how long a task waits for new records of an input partition that it has
	// read to the end, before it processes records of its other partitions. It makes the
	// order by timestamp across partitions more likely when producers are late. It is
	// Kafka Streams' max.task.idle.ms:
	//
	//   - The time counts from the moment at which the partition was found empty. A
	//     partition that stays quiet longer delays no record any more, until it has had
	//     one. A start, a rebalance and an abort begin the time anew.
	//   - While a task waits, its wall-clock punctuators run, what it has done is
	//     committed, and other tasks go on. Closing does not wait for it.
	//   - A task of one partition never waits.
	//
	// Whatever TaskIdle is, a task waits for records that the broker says are there. No
	// value switches that off, because a replay would then process in another order.
	// Default: 0, no waiting for new records.
	TaskIdle time.Duration

	// ReplicationFactor is that of internal topics that this process creates. Default:
	// -1, the brokers' default.
	ReplicationFactor int16

	// RemoveStores names stores that the application had and the topology does not have
	// any more. A start without such a store is refused if it holds anything, unless it
	// is named here. Then, once the group has given this process a task:
	//
	//   - its changelog topic is deleted, with all its rows;
	//   - the registry in Kafka records that it was removed. Later starts, of this and of
	//     other processes, need not name it any more;
	//   - its rows in the state directory are deleted when the directory is next opened,
	//     which in this process is at the start.
	//
	// A store that is added again under the name begins empty. So does a store that is
	// renamed, which is one store removed and one added. A name that the topology has is
	// not removed: a warning is logged. Take the names from a flag or an environment
	// variable, so that a release that added a store can be rolled back without a new
	// build. Default: none.
	RemoveStores []string

	// WaitForTopics makes Run wait, with a line in the log, for input and output topics
	// that do not exist. Default: false, Run returns an error that names them.
	WaitForTopics bool

	// Logger gets states, decisions and what is tried again with its cause, not records.
	// Default: slog.Default(). slog.New(slog.DiscardHandler) is silent.
	Logger *slog.Logger

	// Hooks are told what happens. Each implements one or more of the Hook interfaces of
	// this package.
	Hooks []Hook

	// ClientOptions are given to every Kafka client of the application: TLS, SASL,
	// dialer, client ID, compression, kgo hooks. Options that say what to consume, name a
	// group or make transactions are Millrace's own, and refused here. Run refuses a
	// kgo.MaxVersions that is too old for the guarantee.
	ClientOptions []kgo.Opt
}

const (
	defaultCommitInterval     = 100 * time.Millisecond
	defaultTransactionTimeout = 10 * time.Second
	defaultSessionTimeout     = 15 * time.Second
	defaultCloseTimeout       = 20 * time.Second
	defaultStateMemory        = 256 << 20
	defaultBufferMemory       = 64 << 20
	minStateMemory            = 16 << 20
	minBufferMemory           = 1 << 20
	minSessionTimeout         = 100 * time.Millisecond           // the client's
	maxTimeout                = math.MaxInt32 * time.Millisecond // of the protocol's fields
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

// validate reports every problem of a configuration that has its defaults.
func (c Config) validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf("Config."+format, args...))
		}
	}
	check(c.ApplicationID != "", "ApplicationID is empty: it names the application in Kafka")
	check(c.ApplicationID == "" || validID(c.ApplicationID), "ApplicationID %q: only letters, digits, '.', '_' and '-' are allowed, and at most 200 of them", c.ApplicationID)
	for i, broker := range c.Brokers {
		check(broker != "", "Brokers[%d] is empty: want host:port", i)
		check(!strings.ContainsAny(broker, ",/ "), "Brokers[%d] is %q: want one host:port in each element", i, broker)
	}
	problems = append(problems, c.validateClients()...)
	check(c.StateDir != "", "StateDir is empty: give a directory that outlives the process")
	check(c.Guarantee == ExactlyOnce || c.Guarantee == AtLeastOnce, "Guarantee is %d: want ExactlyOnce or AtLeastOnce", int(c.Guarantee))
	check(c.OnClose == Leave || c.OnClose == Stay, "OnClose is %d: want Leave or Stay", int(c.OnClose))
	check(c.LostOffsets.valid(), "LostOffsets is %d: want RestartRefused, RestartEarliest or RestartLatest", int(c.LostOffsets))
	check(c.RecreatedInputs.valid(), "RecreatedInputs is %d: want RestartRefused, RestartEarliest or RestartLatest", int(c.RecreatedInputs))
	check(c.Workers > 0, "Workers is %d: want at least 1", c.Workers)
	check(c.TransactionTimeout >= time.Second, "TransactionTimeout is %v: want at least 1s", c.TransactionTimeout)
	check(c.TransactionTimeout <= maxTimeout, "TransactionTimeout is %v: want at most %v, which is all that Kafka's protocol can say", c.TransactionTimeout, maxTimeout)
	check(c.CommitInterval > 0, "CommitInterval is %v: want more than 0", c.CommitInterval)
	check(c.CommitInterval <= c.TransactionTimeout/2, "CommitInterval is %v: want at most half of TransactionTimeout (%v)", c.CommitInterval, c.TransactionTimeout)
	check(c.TaskIdle >= 0, "TaskIdle is %v: want 0 or more; records that the broker says are there are always waited for", c.TaskIdle)
	check(c.SessionTimeout >= minSessionTimeout, "SessionTimeout is %v: want at least %v", c.SessionTimeout, minSessionTimeout)
	check(c.SessionTimeout <= maxTimeout, "SessionTimeout is %v: want at most %v, which is all that Kafka's protocol can say", c.SessionTimeout, maxTimeout)
	check(c.CloseTimeout > 0, "CloseTimeout is %v: want more than 0", c.CloseTimeout)
	check(c.StateMemory >= minStateMemory, "StateMemory is %d bytes: want at least %d", c.StateMemory, minStateMemory)
	check(c.BufferMemory >= minBufferMemory, "BufferMemory is %d bytes: want at least %d", c.BufferMemory, minBufferMemory)
	check(c.ReplicationFactor > 0 || c.ReplicationFactor == -1, "ReplicationFactor is %d: want at least 1, or -1 for the brokers' default", c.ReplicationFactor)
	if err := c.Errors.Validate(); err != nil {
		for line := range strings.Lines(err.Error()) {
			problems = append(problems, errors.New("Config.Errors."+strings.TrimSuffix(line, "\n")))
		}
	}
	for i, h := range c.Hooks {
		check(isHook(h), "Hooks[%d] is a %T, which implements none of the Hook interfaces", i, h)
	}
	return errors.Join(problems...)
}

// noBrokers stands for seed brokers that nobody has given: kgo's own default is the local
// machine.
const noBrokers = "no-brokers.invalid:1"

// validateClients makes a client, which does not connect by itself, to see what the
// brokers and the options say.
func (c Config) validateClients() []error {
	if i := slices.Index(c.ClientOptions, nil); i >= 0 {
		return []error{fmt.Errorf("Config.ClientOptions[%d] is nil", i)}
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
		problems = append(problems, errors.New("Config.Brokers is empty: give at least one host:port"))
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
			problems = append(problems, fmt.Errorf("Config.ClientOptions has %s, which Millrace sets itself: leave it out", option.name))
		}
	}
	return problems
}

// emptyOption says that an option that takes a collection was not given.
func emptyOption(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Len() == 0
}

// validID reports whether id can be part of a topic name. 200 leaves room for the rest of
// the name within Kafka's 249.
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
