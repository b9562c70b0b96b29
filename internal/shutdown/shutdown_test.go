package shutdown_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-streams/millrace/internal/shutdown"
)

func TestBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct{ limit, lastCall time.Duration }{
			{10 * time.Second, 9 * time.Second}, {time.Second, 800 * time.Millisecond},
		} {
			var called atomic.Int64
			began, stuck := time.Now(), make(chan struct{})
			s := shutdown.New(tc.limit, func() { called.Store(int64(time.Since(began))) })
			err := s.Bound(func() error {
				<-time.After(time.Hour) // the clock does not run before Begin
				began = time.Now()
				s.Begin()
				s.Step("user code")
				<-time.After(tc.limit / 2)
				s.Begin()
				<-stuck
				return nil
			})
			var late *shutdown.LateError
			if took := time.Since(began); !errors.As(err, &late) || late.Step != "user code" || took != tc.limit || time.Duration(called.Load()) != tc.lastCall {
				t.Errorf("limit %v: %v after %v, last call after %v", tc.limit, err, took, time.Duration(called.Load()))
			}
			close(stuck)
		}
	})
}

func TestWorkInTime(t *testing.T) {
	t.Parallel()
	failure := errors.New("failed")
	s := shutdown.New(time.Hour, func() {})
	if err := s.Bound(func() error { s.Begin(); return failure }); err != failure {
		t.Error(err)
	}
}
