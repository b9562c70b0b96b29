package topics

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MissingAfter is how long a topic must be unknown before it counts as missing. The
// metadata of the brokers lags behind the creation of a topic, by some hundred
// milliseconds on a quiet cluster.
const MissingAfter = 5 * time.Second

// Find is Describe, but asks again while a topic is missing, for at most [MissingAfter].
// Topics that are still missing then have Missing set. If ctx ends first, it returns an
// error.
func Find(ctx context.Context, cl *kgo.Client, names []string) (map[string]Topic, error) {
	began := time.Now()
	for failures := 1; ; failures++ {
		found, err := Describe(ctx, cl, names)
		if err != nil || !anyMissing(found) || time.Since(began) >= MissingAfter {
			return found, err
		}
		if err := retries.Sleep(ctx, failures); err != nil {
			return nil, err
		}
	}
}

func anyMissing(found map[string]Topic) bool {
	for _, t := range found {
		if t.Missing {
			return true
		}
	}
	return false
}

// Confirm repeats look until it returns nil. If look still returns an error after
// MissingAfter, Confirm returns that error. The wait is needed because a broker with old
// metadata describes topics as they were before. If ctx ends first, Confirm returns nil.
func Confirm(ctx context.Context, look func(context.Context) error) error {
	began := time.Now()
	for failures := 1; ; failures++ {
		err := look(ctx)
		if err == nil || time.Since(began) >= MissingAfter {
			return err
		}
		if retries.Sleep(ctx, failures) != nil {
			return nil
		}
	}
}
