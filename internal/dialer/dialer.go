// Package dialer bounds the time of a user's dialer, and gives its errors one kind.
package dialer

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Func opens a connection, as kgo.Dialer takes it.
type Func = func(ctx context.Context, network, address string) (net.Conn, error)

// Bounded returns dial with a time limit. If dial has not returned at the limit, or when
// its context ends, the caller gets an error. A connection that dial opens later is
// closed.
//
// Each error of dial and of its connections is a net.Error, or one of io.EOF,
// io.ErrUnexpectedEOF and net.ErrClosed. Network errors can therefore be distinguished
// from all other errors.
func Bounded(dial Func, limit time.Duration) Func {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		results := make(chan result, 1)
		go func() {
			c, err := dial(ctx, network, address)
			results <- result{c, err}
		}()
		select {
		case r := <-results:
			if r.err != nil {
				return nil, networkError("dial", r.err)
			}
			return conn{r.conn}, nil
		case <-ctx.Done():
			go closeLate(results)
			return nil, networkError("dial", ctx.Err())
		}
	}
}

type result struct {
	conn net.Conn
	err  error
}

func closeLate(results <-chan result) {
	if r := <-results; r.err == nil {
		_ = r.conn.Close() // nobody uses it
	}
}

// conn gives the errors of a connection their kind.
type conn struct{ net.Conn }

func (c conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, networkError("read", err)
}

func (c conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, networkError("write", err)
}

func networkError(op string, err error) error {
	var known net.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}
