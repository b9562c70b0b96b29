package task

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// TableRows makes the rows of a table from the records of its topic, for a restore. The
// records were processed before. One that was skipped then is left out, without being
// counted, observed or sent as a dead letter again.
//
// The error policy decides, and not the error alone: a serde that fails for a while must
// not lose rows. If the policy fails, the restore does.
type TableRows struct {
	From   *graph.FromTopic
	Policy processor.ErrorPolicy
	Sleep  func(context.Context, time.Duration) error // between retries

	LeftOut int64 // records that the policy has skipped so far
}

// Row returns the row that a record makes: a nil value is a deletion. ok is false if the
// record makes none.
func (t *TableRows) Row(ctx context.Context, in *graph.Input) (key, value []byte, ok bool, err error) {
	for attempt := 0; ; attempt++ {
		key, value, ok, err = t.From.Row(in)
		var failed *processor.Error
		if !errors.As(err, &failed) {
			return key, value, ok, err
		}
		action := decide(&t.Policy, failed)
		if action == processor.Retry && attempt < retries(&t.Policy) {
			if err := t.Sleep(ctx, pause(&t.Policy, attempt)); err != nil {
				return nil, nil, false, err
			}
			continue
		}
		if action == processor.Retry {
			action = exhausted(&t.Policy)
		}
		if action == processor.Fail || action == processor.DeadLetter && t.Policy.DeadLetterTopic == "" {
			return nil, nil, false, failed
		}
		t.LeftOut++
		return nil, nil, false, nil
	}
}
