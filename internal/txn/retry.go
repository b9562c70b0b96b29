package txn

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
)

var retries = backoff.Backoff{First: 5 * time.Millisecond, Last: 250 * time.Millisecond}

// doubtRetries is for records whose refusal may have another cause than the records.
var doubtRetries = backoff.Backoff{First: 50 * time.Millisecond, Last: 500 * time.Millisecond}

// retry repeats fn while it fails with an error that again accepts, until ctx ends. It
// then returns the last error of fn, which says more than ctx's.
func retry(ctx context.Context, again func(error) bool, fn func(context.Context) error) error {
	for failures := 1; ; failures++ {
		err := fn(ctx)
		if err == nil || !again(err) {
			return err
		}
		if retries.Sleep(ctx, failures) != nil {
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}

// patiently limits how often again accepts an error that is not a broker's answer. kgo
// has already retried such errors, and without a limit a wrong address would never be
// reported.
func patiently(again func(error) bool) func(error) bool {
	left := 3
	return func(err error) bool {
		if !isAnswer(err) {
			left--
		}
		return left > 0 && again(err)
	}
}
