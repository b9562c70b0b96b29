package runtime

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/resume"
	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/processor"
)

// Config configures a Run. The fields of the same names in millrace.Config describe them.
// New does not check them, and does not set defaults.
type Config struct {
	ApplicationID string
	Graph         *graph.Graph

	// Brokers may be empty if ClientOptions has kgo.SeedBrokers.
	Brokers       []string
	ClientOptions []kgo.Opt
	StateDir      string

	// ExactlyOnce commits in transactions. Without it, the guarantee is at-least-once.
	ExactlyOnce bool
	Policy      processor.ErrorPolicy
	EveryUpdate bool
	Workers     int
	TaskIdle    time.Duration

	CommitInterval     time.Duration
	TransactionTimeout time.Duration
	SessionTimeout     time.Duration
	CloseTimeout       time.Duration

	// Stay keeps the membership in the group when the run ends.
	Stay bool
	// Lost has the operator's choices for inputs without offsets.
	Lost resume.Policy

	StateMemory       int64
	BufferMemory      int64
	ReplicationFactor int16
	RemoveStores      []string
	StartEmpty        []string
	WaitForTopics     bool

	Logger *slog.Logger
	Events Events

	Seams Seams
}

// Seams are hooks for tests. The zero value has no effect.
type Seams struct {
	// Step is called between the steps of a worker's commit. If it returns an error, the
	// commit ends there, like in a crash.
	Step func(worker int, s txn.Step) error
	// FS holds the databases. nil means the disk.
	FS vfs.FS
	// TopicsEvery replaces the interval at which topics are compared, and PurgeEvery the
	// interval at which processed records are deleted.
	TopicsEvery, PurgeEvery time.Duration
	// RebalanceTimeout replaces the constant.
	RebalanceTimeout time.Duration
	// Mistake is made on purpose: the crash tests must find it.
	Mistake seam.Mistake
	// NoShortcuts is that of engine.Options.
	NoShortcuts bool
	// SweepRows is that of engine.Options.
	SweepRows int
	// NoCombining sends every record to a repartition topic.
	NoCombining bool
}
