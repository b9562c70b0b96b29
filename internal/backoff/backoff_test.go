package backoff_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
)

func TestDelay(t *testing.T) {
	t.Parallel()
	b := backoff.Backoff{First: 50 * time.Millisecond, Last: time.Second}
	for failures, want := range map[int]time.Duration{
		0: 50 * time.Millisecond, 1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 5: 800 * time.Millisecond, 6: time.Second, math.MaxInt: time.Second,
	} {
		if got := b.Delay(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
	if got := (backoff.Backoff{First: time.Minute, Last: time.Second}).Delay(1); got != time.Second {
		t.Errorf("a first delay beyond the last: %v", got)
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := (backoff.Backoff{First: time.Second, Last: time.Hour}).Sleep(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if slept := time.Since(began); slept != 4*time.Second {
			t.Errorf("slept %v, want 4s", slept)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := backoff.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v when the context ends", err)
		}
		if slept := time.Since(began); slept != 5*time.Second {
			t.Errorf("woke after %v, want 5s", slept)
		}
	})
}
