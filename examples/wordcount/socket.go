package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// socket reads lines from any number of TCP clients.
type socket struct {
	listener net.Listener
	log      *slog.Logger
}

func listen(address string, log *slog.Logger) (*socket, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("wait for lines: %w", err)
	}
	log.Info("waiting for lines", "address", listener.Addr().String())
	return &socket{listener: listener, log: log}, nil
}

// read serves clients until ctx ends.
func (s *socket) read(ctx context.Context, to *sender) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	context.AfterFunc(ctx, func() { s.listener.Close() })
	for {
		conn, err := s.listener.Accept()
		switch {
		case err == nil:
			clients.Go(func() { s.serve(ctx, conn, to) })
		case ctx.Err() != nil:
			return nil
		default: // too many open files, for example: clients may disconnect
			s.log.Warn("a client could not connect", "error", err)
			pause(ctx, time.Second)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serve sends the lines of a client until the client has closed the connection or ctx
// ends. After the end of ctx, it still sends the complete lines that were read.
func (s *socket) serve(ctx context.Context, conn net.Conn, to *sender) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	client := conn.RemoteAddr().String()
	s.log.Info("connected", "client", client)

	var err error
	d := to.delivery(client)
	for r := newLineReader(conn); err == nil; {
		err = d.sendNext(r)
	}
	if err != io.EOF && ctx.Err() == nil {
		s.log.Warn("connection broken", "client", client, "error", err)
	}
	d.wait()
	s.log.Info("disconnected", "client", client, "lines", d.lines)
}
