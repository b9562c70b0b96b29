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

// App is one process's part of an application: a topology, and where it runs. Make one
// with New and run it once. All methods are safe for concurrent use.
type App struct {
	cfg   Config
	graph *graph.Graph
	seams runtime.Seams // set by tests; empty in production

	ran atomic.Bool
	// Set by Run, never reset. Another run continues if other topics match a pattern.
	run atomic.Pointer[runtime.Run]

	mu    sync.Mutex
	state State
}

// ErrNoBroker is returned by [App.Run] if its context ends after three seconds or more
// and no broker has answered since the start. Nothing was processed in that case.
var ErrNoBroker = health.ErrNoBroker

// ErrRunTwice is returned by the second call of [App.Run].
var ErrRunTwice = errors.New("App.Run was called before: make a new App")

// New checks the configuration and makes an App. It does not connect to Kafka and does
// not touch the disk. The error joins all problems of the configuration.
func New(t *topology.Topology, cfg Config) (*App, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if t == nil {
		err = errors.Join(errors.New("the topology is nil: pass the result of Builder.Build"), err)
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

// Run runs the application until ctx ends, or until a failure that only a person can fix.
// It blocks.
//
// When ctx ends, Run finishes the records that are being processed, commits, leaves the
// group, and returns nil. Config.CloseTimeout bounds the time that this takes, even if
// something is stuck.
//
// Run returns an error in these cases:
//
//   - The error policy has said Fail. The error wraps a *processor.Error. All other work
//     has been committed, and a restart resumes at the failed record.
//   - No broker has answered by the time ctx ends, and Run has tried for three seconds or
//     more. The error is [ErrNoBroker] with the cause. If a broker has answered once,
//     this is no error.
//   - The brokers are too old for the guarantee. Run refuses them at the start, and the
//     error has the versions.
//   - The state directory can no longer be written, because its disk is full or broken.
//     The state in it remains as of an earlier commit. A restart continues from there
//     when the disk has room.
//
// An outage of the brokers does not end Run: it logs, and keeps trying until ctx ends.
func (a *App) Run(ctx context.Context) error {
	if a.ran.Swap(true) {
		return ErrRunTwice
	}
	for r := runtime.New(ctx, a.runtimeConfig()); r != nil; r = r.Next() {
		a.run.Store(r)
		if err := r.Run(); err != nil {
			return fmt.Errorf("millrace: application %s: %w", a.cfg.ApplicationID, err)
		}
	}
	return nil
}

// started returns the run. It is nil until the run has joined its group.
func (a *App) started() *runtime.Run {
	if r := a.run.Load(); r != nil && r.Started() {
		return r
	}
	return nil
}

// reach returns what the run cannot reach. Before Run, that is empty.
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
	// Once the App closes, its tasks no longer decide the state.
	if from == to || from >= Closing && to < from {
		a.mu.Unlock()
		return
	}
	a.state = to
	a.mu.Unlock()
	a.cfg.Logger.Info("state", "application", a.cfg.ApplicationID, "from", from.String(), "to", to.String())
	each(a.cfg.Logger, a.cfg.Hooks, func(h HookStateChange) { h.OnStateChange(from, to) })
}
