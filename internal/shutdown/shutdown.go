// Package shutdown bounds the time in which work ends, whatever it is stuck in.
//
// The work runs in a separate goroutine. If it has not returned at the limit, the caller
// of Bound continues without it. The work itself continues when the stuck part returns,
// and still releases its resources.
package shutdown

import (
	"fmt"
	"sync"
	"time"
)

// maxGrace bounds the time between the last call and the end.
const maxGrace = time.Second

// Shutdown is the end of one piece of work. Make one with New. Any goroutine may call its
// methods.
type Shutdown struct {
	limit    time.Duration
	lastCall func()
	late     chan struct{} // closed when the time is up

	mu     sync.Mutex
	begun  bool
	timers []*time.Timer
	step   string
}

// New makes a Shutdown that takes at most limit. Shortly before the limit (a fifth of it,
// at most a second), it calls lastCall, which ends everything that can be forced to end.
func New(limit time.Duration, lastCall func()) *Shutdown {
	return &Shutdown{limit: limit, lastCall: lastCall, late: make(chan struct{}), step: "starting"}
}

// Begin starts the clock. Only the first call has an effect.
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

// Step sets what the work waits for from now on. LateError names it.
func (s *Shutdown) Step(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step = step
}

// LateError says that the work had not returned at the limit.
type LateError struct {
	Limit time.Duration
	Step  string // what the work was waiting for
}

func (e *LateError) Error() string {
	return fmt.Sprintf("closing took longer than Config.CloseTimeout (%v), so Run has returned without waiting for: %s", e.Limit, e.Step)
}

// Bound runs work in a goroutine and returns its error. If work has not returned at the
// limit, Bound returns a *LateError. The clock starts with Begin; before that, Bound
// waits without a limit.
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
