package turn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnIsTakenInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := New()
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		taken := make(chan error)
		go func() { taken <- turn.Take(t.Context()) }()
		synctest.Wait()
		select {
		case <-taken:
			t.Fatal("two hold the turn")
		default:
		}
		turn.Free()
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
	})
}

// Virtual time passes during the wait, which is not so for a mutex.
func TestTakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := New()
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := turn.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
	})
}
