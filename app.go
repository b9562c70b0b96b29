package millrace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/runtime"
	"github.com/millrace-streams/millrace/topology"
)

// App is one process's part of an application: a topology and where it runs. Make one
// with New and run it once. All methods may be called by any goroutine.
type App struct {
	cfg   Config
	graph *graph.Graph
	seams runtime.Seams // of tests; empty in production

	ran atomic.Bool
	run atomic.Pointer[runtime.Run] // set by Run, and kept

	mu    sync.Mutex
	state State
}

// ErrNoBroker is returned by [App.Run] when its context ends and no broker has answered
// since the start, for three seconds or more. Nothing was processed then.
var ErrNoBroker = health.ErrNoBroker

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
// be reached do not end Run: it logs, and keeps trying until ctx ends. If no broker has
// ever answered by then, and Run has tried for three seconds or more, the error is
// [ErrNoBroker] with the cause; brokers that were reached once are no error. Brokers that
// are too old for the guarantee are refused at the start, with the versions in the error.
// A state directory that takes nothing more, since its disk is full or broken, is an
// error; the state in it stays as of an earlier commit, and a restart with room on the
// disk goes on from there.
func (a *App) Run(ctx context.Context) error {
	if a.ran.Swap(true) {
		return ErrRunTwice
	}
	r := runtime.New(ctx, a.runtimeConfig())
	a.run.Store(r)
	if err := r.Run(); err != nil {
		return fmt.Errorf("millrace: application %s: %w", a.cfg.ApplicationID, err)
	}
	return nil
}

// started returns the run once it has joined its group, before nil.
func (a *App) started() *runtime.Run {
	if r := a.run.Load(); r != nil && r.Started() {
		return r
	}
	return nil
}

// reach returns what the run cannot reach. Before Run, that is nothing.
func (a *App) reach() Reachability {
	if r := a.run.Load(); r != nil {
		return reachability(r.Reach())
	}
	return Reachability{}
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
