package runtime

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/dialer"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/resume"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/processor"
)

// Config is what a Run works with. The fields of the same names in millrace.Config
// describe them. New does not check them, and knows no defaults.
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
	WaitForTopics     bool

	Logger *slog.Logger
	Events Events

	Seams Seams
}

// Seams are what tests put between the run and the world. The zero value changes nothing.
type Seams struct {
	// Step is called between the steps of a worker's commit. An error ends the commit
	// there, as a crash would.
	Step func(worker int, s txn.Step) error
	// FS holds the databases; nil is the disk.
	FS vfs.FS
	// TopicsEvery replaces the interval at which topics are compared, and PurgeEvery the
	// interval at which processed records are deleted.
	TopicsEvery, PurgeEvery time.Duration
	// RebalanceTimeout replaces the constant.
	RebalanceTimeout time.Duration
	// Mutations are mistakes that the crash tests must find.
	Mutations Mutations
}

// Mutations are mistakes in the commit protocol, made on purpose: a crash test that does
// not find them is worth nothing.
type Mutations struct {
	// ApplyFirst applies changes to the databases before the transaction has ended.
	ApplyFirst bool
	// KeepTimes keeps operator times over an abort.
	KeepTimes bool
	// KeepCache keeps the rows that stores hold in memory over an abort.
	KeepCache bool
	// LiveIdentity commits under the client's current identity, and the group does not
	// wait for workers.
	LiveIdentity bool
}

const metadataMinAge = 100 * time.Millisecond

// seedBrokers are the client options for the seed brokers.
func (c *Config) seedBrokers() []kgo.Opt {
	if len(c.Brokers) == 0 {
		return nil
	}
	return []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
}

// dialer returns the dialer of the client options with a time limit, that of
// kgo.DialTimeout. It returns nil if kgo.DialTLSConfig makes one: kgo bounds that.
func (c *Config) dialer() (dialer.Func, error) {
	cl, err := kgo.NewClient(append(c.seedBrokers(), c.ClientOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	if secure, _ := cl.OptValue(kgo.DialTLSConfig).(*tls.Config); secure != nil {
		return nil, nil
	}
	dial, _ := cl.OptValue(kgo.Dialer).(dialer.Func)
	limit, _ := cl.OptValue(kgo.DialTimeout).(time.Duration)
	if dial == nil || limit <= 0 {
		return dial, nil
	}
	return dialer.Bounded(dial, limit), nil
}

// clientOptions are what every client of a run gets. ctx is the context of its requests.
func (c *Config) clientOptions(ctx context.Context, dial dialer.Func) []kgo.Opt {
	opts := c.seedBrokers()
	// kgo waits 5 s between two looks at the metadata, which would be the pause at each
	// move of a leader.
	opts = append(opts, kgo.ClientID(c.ApplicationID), kgo.MetadataMinAge(metadataMinAge))
	// Pushing metrics to the broker makes each client's Close wait a second for a broker
	// that is gone.
	opts = append(opts, kgo.DisableClientMetrics())
	opts = append(opts, c.ClientOptions...)
	// When there is no more time, closing a client does not wait for brokers.
	opts = append(opts, kgo.WithContext(ctx))
	if dial != nil {
		opts = append(opts, kgo.Dialer(dial))
	}
	return opts
}
