// Package shutdown bounds how long something takes to end, whatever it is stuck in.
//
// The work runs in a goroutine of its own. If it has not returned when the time is up,
// the caller of Bound goes on without it. The work itself goes on until what it is stuck
// in returns, so that it still releases what it holds.
package shutdown

import (
	"fmt"
	"sync"
	"time"
)

// maxGrace is the most that the work gets between the last call and the end.
const maxGrace = time.Second

// Shutdown is the end of one piece of work. Make one with New. Its methods may be called
// by any goroutine.
type Shutdown struct {
	limit    time.Duration
	lastCall func()
	late     chan struct{} // closed when the time is up

	mu     sync.Mutex
	begun  bool
	timers []*time.Timer
	step   string
}

// New makes a Shutdown that takes at most limit. Some time before, a fifth of limit and
// at most a second, lastCall is called: it ends what can be ended by force.
func New(limit time.Duration, lastCall func()) *Shutdown {
	return &Shutdown{limit: limit, lastCall: lastCall, late: make(chan struct{}), step: "starting"}
}

// Begin starts the clock. Calls after the first do nothing.
func (s *Shutdown) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return
	}
	s.begun = true
	s.timers = []*time.Timer{
		time.AfterFunc(s.limit-min(s.limit/5, maxGrace), s.lastCall),
		time.AfterFunc(s.limit, func() { close(s.late) }),
	}
}

func (s *Shutdown) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	for _, t := range s.timers {
		t.Stop()
	}
}

// Step says what the work waits for from now on, for LateError.
func (s *Shutdown) Step(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step = step
}

// LateError says that the time was up before the work had returned.
type LateError struct {
	Limit time.Duration
	Step  string // what the work was waiting for
}

func (e *LateError) Error() string {
	return fmt.Sprintf("closing took longer than Config.CloseTimeout (%v), so Run has returned without waiting for: %s", e.Limit, e.Step)
}

// Bound runs work in a goroutine and returns its error, or a *LateError if work has not
// returned when the time is up. The clock runs from Begin; before, Bound waits without a
// limit.
func (s *Shutdown) Bound(work func() error) error {
	defer s.stopTimers()
	returned := make(chan error, 1)
	go func() { returned <- work() }()
	select {
	case err := <-returned:
		return err
	case <-s.late:
	}
	select {
	case err := <-returned:
		return err
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &LateError{Limit: s.limit, Step: s.step}
}
