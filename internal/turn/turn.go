// Package turn has a lock for work that waits for Kafka. The wait for the lock ends when
// a context ends.
package turn

import "context"

// Turn is held by one goroutine at a time. Make one with New.
type Turn struct{ taken chan struct{} }

// New returns a Turn that nobody holds.
func New() Turn { return Turn{make(chan struct{}, 1)} }

// Take waits until nobody holds the Turn, and takes it. The caller must call Free. If ctx
// ends first, Take returns its error, and the Turn is not taken.
func (t Turn) Take(ctx context.Context) error {
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Free releases the Turn.
func (t Turn) Free() { <-t.taken }
