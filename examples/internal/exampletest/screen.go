// Package exampletest contains helpers for the tests of the examples.
package exampletest

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for an event that should happen soon.
const Patience = 2 * time.Minute

// Screen is a writer whose text a test can wait for.
type Screen struct {
	mu      sync.Mutex
	written strings.Builder
	changed chan struct{} // closed and replaced by every Write
}

var _ io.Writer = (*Screen)(nil)

// NewScreen returns an empty screen.
func NewScreen() *Screen { return &Screen{changed: make(chan struct{})} }

// Write implements io.Writer. It never fails, and may be called by several goroutines.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.written.Write(p)
}

// Text returns what has been written so far.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.String()
}

// WaitFor returns when the text satisfies a condition. It fails the test if that does not
// happen within Patience.
func (s *Screen) WaitFor(t *testing.T, what string, satisfied func(text string) bool) {
	t.Helper()
	timeout := time.After(Patience)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if satisfied(s.Text()) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no %s within %v; there is:\n%s", what, Patience, s.Text())
		}
	}
}

// WaitForCount returns when the text contains a part n times.
func (s *Screen) WaitForCount(t *testing.T, part string, n int) {
	t.Helper()
	s.WaitFor(t, part, func(text string) bool { return strings.Count(text, part) >= n })
}

// Interrupt sends the process the signal of Ctrl-C. The program under test must already
// be waiting for it; otherwise the signal ends the test.
func Interrupt(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(os.Interrupt)
	}
	if err != nil {
		t.Fatal(err)
	}
}
