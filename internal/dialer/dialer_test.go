package dialer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-streams/millrace/internal/dialer"
)

var errCut = errors.New("the line is cut")

func TestBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		mine, theirs := net.Pipe()
		deaf := dialer.Bounded(func(context.Context, string, string) (net.Conn, error) {
			<-release
			return mine, nil
		}, time.Second)
		began := time.Now()
		_, err := deaf(t.Context(), "tcp", "broker:9092")
		var timeout net.Error
		if took := time.Since(began); took != time.Second || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("a dialer that ignores its context: %v after %v", err, took)
		}
		close(release)
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection that came too late is not closed: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := dialer.Bounded(hang, time.Hour)(ctx, "tcp", "broker:9092"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v when the caller ends", err)
		}
	})
}

func hang(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// cut is a connection that returns its own errors.
type cut struct{ net.Conn }

func (cut) Read([]byte) (int, error)  { return 0, errCut }
func (cut) Write([]byte) (int, error) { return 0, errCut }

func TestErrorsAreNetworkErrors(t *testing.T) {
	t.Parallel()
	c, err := dialer.Bounded(func(context.Context, string, string) (net.Conn, error) { return cut{}, nil }, time.Minute)(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	_, reading := c.Read(nil)
	_, writing := c.Write(nil)
	_, dialing := dialer.Bounded(func(context.Context, string, string) (net.Conn, error) { return nil, errCut }, time.Minute)(t.Context(), "tcp", "")
	for _, err := range []error{reading, writing, dialing} {
		var network net.Error
		if !errors.As(err, &network) || !errors.Is(err, errCut) {
			t.Errorf("got %T %v", err, err)
		}
	}
}
