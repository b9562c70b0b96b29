package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/shutdown"
	"github.com/millrace-streams/millrace/internal/transient"
)

// life is the lifetime of a run: the contexts of its parts, their background goroutines,
// and the failure that ends the run. Every part has it. It knows no part.
type life struct {
	log *slog.Logger

	// hard is the context of user code. It ends when there is no time left to be
	// graceful.
	hard context.Context
	kill context.CancelFunc
	// soft ends when the run begins to close. After that, nothing new is started.
	soft context.Context
	stop context.CancelFunc
	// ending bounds the time from the end of soft, or from a failure, to the return of
	// Run.
	ending *shutdown.Shutdown

	parent  context.Context // that of newLife
	renewed atomic.Bool     // see renew

	background sync.WaitGroup // goroutines that end with soft, or with hard

	mu      sync.Mutex
	failure error
	failed  chan struct{} // closed with the first failure
}

// newLife makes a life that begins to close when ctx ends, and takes at most limit for
// closing.
func newLife(ctx context.Context, limit time.Duration, log *slog.Logger) *life {
	l := &life{log: log, parent: ctx, failed: make(chan struct{})}
	l.hard, l.kill = context.WithCancel(context.WithoutCancel(ctx))
	l.soft, l.stop = context.WithCancel(ctx)
	l.ending = shutdown.New(limit, l.kill)
	return l
}

// spawn runs f in a goroutine that ends soon after soft or hard has ended.
func (l *life) spawn(f func()) { l.background.Go(f) }

// fail ends the run with err, unless something has failed before.
func (l *life) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return
	}
	l.failure = err
	l.log.Error("the application has failed", "error", err)
	close(l.failed)
	l.ending.Begin()
}

// renew makes the run close, so that another one continues in its place. The process
// stays in the group.
func (l *life) renew() {
	l.renewed.Store(true)
	l.stop()
}

// continues reports whether another run continues in place of this one, which closes.
func (l *life) continues() bool {
	return l.renewed.Load() && l.parent.Err() == nil && l.failureSoFar() == nil
}

func (l *life) failureSoFar() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// untilReachable repeats f until it succeeds, the run ends, or the error is permanent.
func (l *life) untilReachable(doing string, f func(context.Context) error) error {
	return l.retry(l.soft, doing, f)
}

// retries are the pauses after Kafka has refused a request.
var retries = backoff.Backoff{First: 50 * time.Millisecond, Last: 2 * time.Second}

// retry is untilReachable with a context that may end before the run.
func (l *life) retry(ctx context.Context, doing string, f func(context.Context) error) error {
	for failures := 1; ; failures++ {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !transient.Is(err) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		l.log.Warn("trying again", "doing", doing, "in", retries.Delay(failures), "error", err)
		if err := retries.Sleep(ctx, failures); err != nil {
			return err
		}
	}
}
