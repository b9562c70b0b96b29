package topics

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MissingAfter is how long a topic has to be unknown to count as missing. The metadata of
// the brokers lags behind the creation of a topic, by some hundred milliseconds on a
// quiet cluster.
const MissingAfter = 5 * time.Second

// Find describes topics as Describe does, but asks again while one of them is missing.
// After within it returns what is missing then. It returns an error if ctx ends before.
func Find(ctx context.Context, cl *kgo.Client, names []string, within time.Duration) (map[string]Topic, error) {
	began := time.Now()
	for failures := 1; ; failures++ {
		found, err := Describe(ctx, cl, names)
		if err != nil || !anyMissing(found) || time.Since(began) >= within {
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

// Confirm calls look until it returns nil, and returns its error if it still returns one
// after MissingAfter: a broker whose metadata lags behind describes topics as they were
// before. It returns nil if ctx ends first.
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
