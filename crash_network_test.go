package millrace

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// line connects one life of a process to the cluster. It can be cut for good, frozen for
// a while (delayed data arrives afterwards), or cut around one request.
type line struct {
	dial func(ctx context.Context, network, host string) (net.Conn, error)

	mu     sync.Mutex
	cut    bool
	thawed chan struct{} // closed at the end of a freeze; nil if not frozen
	conns  map[*lineConn]struct{}
	trap   *trap
}

// trap springs when a request of its kind is written.
type trap struct {
	key    kmsg.Key
	passes bool // the request reaches the broker; its answer never comes back
	sprung func()
}

var errCut = errors.New("the line is cut")

func newLine(dial func(ctx context.Context, network, host string) (net.Conn, error)) *line {
	return &line{dial: dial, conns: map[*lineConn]struct{}{}}
}

// DialContext is a dialer for kgo.
func (l *line) DialContext(ctx context.Context, network, host string) (net.Conn, error) {
	if err := l.wait(ctx.Done()); err != nil {
		return nil, err
	}
	conn, err := l.dial(ctx, network, host)
	if err != nil {
		return nil, err
	}
	c := &lineConn{Conn: conn, line: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		conn.Close()
		return nil, errCut
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// wait returns when the line is not frozen. It returns an error if the line is cut, or if
// ended is closed first.
func (l *line) wait(ended <-chan struct{}) error {
	for {
		l.mu.Lock()
		cut, thawed := l.cut, l.thawed
		l.mu.Unlock()
		if cut {
			return errCut
		}
		if thawed == nil {
			return nil
		}
		select {
		case <-thawed:
		case <-ended:
			return errCut
		}
	}
}

// sever cuts the line until mend is called.
func (l *line) sever() {
	l.mu.Lock()
	l.cut = true
	conns := l.conns
	l.conns = map[*lineConn]struct{}{}
	if l.thawed != nil {
		close(l.thawed)
		l.thawed = nil
	}
	l.mu.Unlock()
	for c := range conns {
		c.Close()
	}
}

func (l *line) mend() {
	l.mu.Lock()
	l.cut = false
	l.mu.Unlock()
}

// freeze holds up all data until thaw is called.
func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.thawed == nil && !l.cut {
		l.thawed = make(chan struct{})
	}
}

func (l *line) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.thawed != nil {
		close(l.thawed)
		l.thawed = nil
	}
}

// set arms a trap.
func (l *line) set(t *trap) {
	l.mu.Lock()
	l.trap = t
	l.mu.Unlock()
}

// spring returns the trap, and disarms it, if the request is the one that it waits for.
// kgo writes each request in one call.
func (l *line) spring(request []byte) *trap {
	const keyAt = 4 // behind the length
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.trap
	if t == nil || len(request) < keyAt+2 || kmsg.Key(binary.BigEndian.Uint16(request[keyAt:])) != t.key {
		return nil
	}
	l.trap = nil
	return t
}

// lineConn is one connection of a line.
type lineConn struct {
	net.Conn
	line   *line
	once   sync.Once
	closed chan struct{}
}

func (c *lineConn) Write(b []byte) (int, error) {
	if err := c.line.wait(c.closed); err != nil {
		return 0, err
	}
	t := c.line.spring(b)
	if t == nil {
		return c.Conn.Write(b)
	}
	if t.passes {
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
	}
	t.sprung()
	return 0, errCut
}

func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if waited := c.line.wait(c.closed); waited != nil {
		return 0, waited
	}
	return n, err
}

func (c *lineConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}
