package millrace

import (
	"log/slog"

	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/resume"
	"github.com/millrace-streams/millrace/internal/runtime"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// runtimeConfig returns the configuration for internal/runtime.
func (a *App) runtimeConfig() runtime.Config {
	c := a.cfg
	return runtime.Config{
		ApplicationID: c.ApplicationID, Graph: a.graph,
		Brokers: c.Brokers, ClientOptions: c.ClientOptions, StateDir: c.StateDir,
		ExactlyOnce: c.Guarantee == ExactlyOnce, Policy: c.Errors, EveryUpdate: c.EveryUpdate, Workers: c.Workers, TaskIdle: c.TaskIdle,
		CommitInterval: c.CommitInterval, TransactionTimeout: c.TransactionTimeout,
		SessionTimeout: c.SessionTimeout, CloseTimeout: c.CloseTimeout,
		Stay:        c.OnClose == Stay,
		Lost:        resume.Policy{Lost: resume.Choice(c.LostOffsets), Recreated: resume.Choice(c.RecreatedInputs)},
		StateMemory: c.StateMemory, BufferMemory: c.BufferMemory, ReplicationFactor: c.ReplicationFactor,
		RemoveStores: c.RemoveStores, StartEmpty: c.StartEmpty, WaitForTopics: c.WaitForTopics,
		Logger: c.Logger, Events: events{a, c.Logger.With("application", c.ApplicationID)}, Seams: a.seams,
	}
}

// events turns the reports of a run into the App's state and calls of its hooks.
type events struct {
	app *App
	log *slog.Logger
}

// states are the App's states, indexed by the state of the run.
var states = [...]State{
	runtime.Starting:    Starting,
	runtime.Restoring:   Restoring,
	runtime.Running:     Running,
	runtime.Unreachable: Unreachable,
	runtime.Closing:     Closing,
	runtime.Closed:      Closed,
	runtime.Failed:      Failed,
}

// State implements runtime.Events.
func (e events) State(s runtime.State) { e.app.setState(states[s]) }

// Rebalance implements runtime.Events.
func (e events) Rebalance(r runtime.Rebalance) {
	tell(e, func(h HookRebalance) { h.OnRebalance(Rebalance(r)) })
}

// Restoring implements runtime.Events.
func (e events) Restoring(p runtime.RestoreProgress) {
	tell(e, func(h HookRestore) { h.OnRestoreProgress(RestoreProgress(p)) })
}

// Wiped implements runtime.Events.
func (e events) Wiped(w runtime.StateWiped) {
	tell(e, func(h HookStateWiped) { h.OnStateWiped(StateWiped(w)) })
}

// Committed implements runtime.Events.
func (e events) Committed(c worker.Commit) {
	tell(e, func(h HookCommit) { h.OnCommit(Commit(c)) })
}

// Dropped implements runtime.Events.
func (e events) Dropped(d runtime.Dropped) {
	tell(e, func(h HookDropped) { h.OnDropped(Dropped(d)) })
}

// Migrated implements runtime.Events.
func (e events) Migrated(m runtime.Migrated) {
	tell(e, func(h HookMigrated) { h.OnMigrated(Migrated(m)) })
}

// TableRetention implements runtime.Events.
func (e events) TableRetention(r runtime.TableRetention) {
	tell(e, func(h HookTableRetention) { h.OnTableRetention(TableRetention(r)) })
}

// BufferFull implements runtime.Events.
func (e events) BufferFull(b runtime.BufferFull) {
	tell(e, func(h HookBufferFull) { h.OnBufferFull(BufferFull(b)) })
}

// Errored implements runtime.Events.
func (e events) Errored(err *processor.Error, action processor.Action) {
	tell(e, func(h HookError) { h.OnError(err, action) })
}

// Reach implements runtime.Events.
func (e events) Reach(r health.Report) {
	told := reachability(r)
	tell(e, func(h HookReachability) { h.OnReachability(told) })
}

// tell calls f for every hook of the App that is a T.
func tell[T any](e events, f func(T)) { each(e.log, e.app.cfg.Hooks, f) }
