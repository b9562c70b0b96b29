package task

import (
	"fmt"
	"sync/atomic"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Misuse keeps the first use of a Context outside of its call. Any goroutine may report
// one, at any time. A task that shares the Misuse fails at its next step, before it
// commits. The zero value is ready for use.
type Misuse struct{ first atomic.Pointer[error] }

// Err returns the first error that was reported.
func (m *Misuse) Err() error {
	if err := m.first.Load(); err != nil {
		return *err
	}
	return nil
}

// Foreign implements [graph.Task].
func (h *host) Foreign() func() bool { return h.t.cfg.Foreign }

// Misused implements [graph.Task]. It also logs the error, because an idle or closed task
// may take no further step.
func (h *host) Misused(n *graph.Node, err error) {
	err = fmt.Errorf("task %s: node %s: %w", h.t.cfg.ID, n.Name, err)
	if h.t.cfg.Misuse.first.CompareAndSwap(nil, &err) {
		h.t.logger.Error("a processor's Context was misused", "node", n.Name, "error", err)
	}
}

// over returns why the task must not continue, or nil.
func (t *Task) over() error {
	if t.failure == nil {
		t.failure = t.cfg.Misuse.Err()
	}
	return t.failure
}
