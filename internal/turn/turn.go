// Package turn has a lock for work that waits for Kafka: the waiting for the lock ends
// with a context.
package turn

import "context"

// Turn is held by one goroutine at a time. Make one with New.
type Turn struct{ taken chan struct{} }

// New returns a Turn that nobody holds.
func New() Turn { return Turn{make(chan struct{}, 1)} }

// Take waits until nobody holds the Turn, and takes it. The caller calls Free. If ctx
// ends first, Take returns why, and the Turn is not taken.
func (t Turn) Take(ctx context.Context) error {
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Free gives the Turn back.
func (t Turn) Free() { <-t.taken }
