// Package backoff computes the delays between retries, and waits for them.
package backoff

import (
	"context"
	"time"
)

// Backoff says how long to wait before a retry: First after the first failure, then twice
// as long each time, at most Last.
type Backoff struct{ First, Last time.Duration }

// Delay returns how long to wait after the given number of consecutive failures, counted
// from 1.
func (b Backoff) Delay(failures int) time.Duration {
	d := min(b.First, b.Last)
	for i := 1; i < failures && d < b.Last; i++ {
		d = min(2*d, b.Last)
	}
	return d
}

// Sleep waits for Delay(failures), or returns ctx's error as soon as ctx ends.
func (b Backoff) Sleep(ctx context.Context, failures int) error { return Sleep(ctx, b.Delay(failures)) }

// Sleep waits for d, or returns ctx's error as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
