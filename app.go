package millrace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/shutdown"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/topology"
)

// App is one process's part of an application: a topology and where it runs. Make one
// with New and run it once. All methods may be called by any goroutine.
type App struct {
	cfg   Config
	graph *graph.Graph
	seams seams

	ran     atomic.Bool
	session atomic.Pointer[session] // set when Run is under way, and kept

	health health.Tracker // of what Run needs to reach

	mu    sync.Mutex
	state State
}

// seams are what tests put between the application and the world. They are empty in
// production.
type seams struct {
	// step is called between the steps of a worker's commit. An error ends the commit
	// there, as a crash would.
	step func(worker int, s txn.Step) error
	// fs holds the databases; nil is the disk.
	fs vfs.FS
	// topicsEvery and purgeEvery replace the intervals at which topics are looked at, and
	// records deleted that are not needed any more.
	topicsEvery, purgeEvery time.Duration
	// rebalanceTimeout replaces the constant.
	rebalanceTimeout time.Duration
	// mutations are mistakes that the crash tests must find.
	mutations mutations
}

// mutations are mistakes in the commit protocol, made on purpose: a crash test that does
// not find them is worth nothing.
type mutations struct {
	applyFirst   bool // changes are applied to the databases before the transaction has ended
	keepTimes    bool // operator times outlive an abort
	keepCache    bool // the rows that stores hold in memory outlive an abort
	liveIdentity bool // commits are made as whoever the client has become by then, and the group does not wait for workers
}

// ErrRunTwice is returned by the second call of [App.Run].
var ErrRunTwice = errors.New("App.Run was called before: make a new App")

// New checks the configuration and makes an App. It touches neither Kafka nor the disk.
// The error joins all problems of the configuration.
func New(t *topology.Topology, cfg Config) (*App, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if t == nil {
		err = errors.Join(errors.New("the topology is nil: pass what Builder.Build returned"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("millrace: %w", err)
	}
	g, err := graph.Of(t)
	if err != nil {
		return nil, fmt.Errorf("millrace: %w", err)
	}
	return &App{cfg: cfg, graph: g}, nil
}

// Run runs the application until ctx ends or something goes wrong that only a person can
// put right. It blocks.
//
// When ctx ends, Run finishes the records that are being processed, commits, leaves the
// group, and returns nil; Config.CloseTimeout bounds that, whatever is stuck. It returns
// an error that wraps a *processor.Error when the error policy has said Fail: everything
// else has then been committed, and a restart resumes at that record. Brokers that cannot
// be reached are no error: Run logs, and keeps trying until ctx ends. A state directory
// that takes nothing more, since its disk is full or broken, is one; the state in it
// stays as of an earlier commit, and a restart with room on the disk goes on from there.
func (a *App) Run(ctx context.Context) error {
	if a.ran.Swap(true) {
		return ErrRunTwice
	}
	s := a.newSession(ctx)
	defer context.AfterFunc(ctx, s.ending.Begin)()
	err := s.ending.Bound(func() error { return a.runAndTell(s) })
	if late := (*shutdown.LateError)(nil); errors.As(err, &late) {
		err = errors.Join(s.failureSoFar(), err)
		s.warnOfLate(late)
		go a.setState(Failed) // a hook may be what is stuck
	}
	if err != nil {
		return fmt.Errorf("millrace: application %s: %w", a.cfg.ApplicationID, err)
	}
	return nil
}

// runAndTell runs the session and sets the state before and after.
func (a *App) runAndTell(s *session) error {
	a.setState(Starting)
	err := s.run()
	if err != nil {
		a.setState(Failed)
	} else {
		a.setState(Closed)
	}
	return err
}

// State returns the application's state.
func (a *App) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *App) setState(to State) {
	a.mu.Lock()
	from := a.state
	// Once it closes, the tasks do not decide any more.
	if from == to || from >= Closing && to < from {
		a.mu.Unlock()
		return
	}
	a.state = to
	a.mu.Unlock()
	a.cfg.Logger.Info("state", "application", a.cfg.ApplicationID, "from", from.String(), "to", to.String())
	each(a.cfg.Logger, a.cfg.Hooks, func(h HookStateChange) { h.OnStateChange(from, to) })
}
