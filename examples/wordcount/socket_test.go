package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/examples/internal/exampletest"
	"github.com/millrace-streams/millrace/internal/kafkatest"
)

func newSocket(t *testing.T, k *kafka) (*socket, string) {
	t.Helper()
	s, err := listen("127.0.0.1:0", k.log)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Error(err)
	}
}

func TestSocketClients(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	s, address := newSocket(t, k)
	stop := k.start(t, s)

	// All clients are connected at the same time, and send in turns.
	const clients = 5
	var conns []net.Conn
	for range clients {
		conns = append(conns, dial(t, address))
	}
	var want []string
	for i := range 20 {
		for c, conn := range conns {
			line := fmt.Sprintf("line %02d of ünï-%d", i, c)
			want = append(want, line)
			write(t, conn, line+[]string{"\n", "\r\n"}[i%2])
		}
	}
	for _, conn := range conns {
		write(t, conn, "no end")
		want = append(want, "no end")
		conn.Close()
	}
	k.said.WaitForCount(t, "msg=disconnected", clients)
	stop()
	slices.Sort(want)
	if got := k.lines(t); !slices.Equal(got, want) {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

func TestSocketLongLine(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	s, address := newSocket(t, k)
	stop := k.start(t, s)
	conn := dial(t, address)
	write(t, conn, strings.Repeat("x", 2*maxLine))
	k.said.WaitForCount(t, `level=WARN msg="line skipped: it is too long" from=`+conn.LocalAddr().String(), 1)
	longest := strings.Repeat("y", maxLine)
	write(t, conn, "rest\n"+longest+"\nafter\n")
	conn.Close()
	k.said.WaitForCount(t, "lines=2", 1)
	stop()
	if got := k.lines(t); !slices.Equal(got, []string{"after", longest}) {
		t.Errorf("%d lines are %.50q", len(got), got)
	}
}

// TestSocketEnds: a client that stays connected does not prevent the program from ending.
func TestSocketEnds(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	s, address := newSocket(t, k)
	stop := k.start(t, s)
	conn := dial(t, address)
	k.said.WaitForCount(t, "msg=connected", 1)
	stop()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open after the end")
	}
}

// TestSocketSlowedDown: while Kafka does not answer, the program reads only as much as
// fits into its buffer. Later all lines arrive.
func TestSocketSlowedDown(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t)
	k := kafkaAt(t, c.ListenAddrs())
	answer := make(chan struct{})
	c.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-answer })
		return nil, nil, false
	})
	s, address := newSocket(t, k)
	stop := k.start(t, s)

	const n = 3 * bufferedLines
	conn := dial(t, address)
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range n {
			write(t, conn, fmt.Sprintf("%05d\n", i))
		}
		conn.Close()
	})
	waitUntil(t, "full buffer", func() bool { return k.client.BufferedProduceRecords() >= bufferedLines })
	close(answer)
	writing.Wait()
	k.said.WaitForCount(t, fmt.Sprintf("lines=%d", n), 1)
	stop()

	got := k.lines(t)
	if len(got) != n {
		t.Fatalf("%d lines, want %d", len(got), n)
	}
	for i, line := range got {
		if line != fmt.Sprintf("%05d", i) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

// waitUntil polls a condition that no event announces.
func waitUntil(t *testing.T, what string, satisfied func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(exampletest.Patience)
	for !satisfied() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("no %s within %v", what, exampletest.Patience)
		}
	}
}
