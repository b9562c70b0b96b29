package millrace_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
)

const (
	childBrokers = "MILLRACE_TEST_BROKERS"
	childDir     = "MILLRACE_TEST_DIR"
)

// TestChild is the application in a separate process, which TestKillNine kills.
func TestChild(t *testing.T) {
	brokers, dir := os.Getenv(childBrokers), os.Getenv(childDir)
	if brokers == "" {
		t.Skip("runs in a process of its own, started by TestKillNine")
	}
	topo, _ := counting(t)
	running := newStates()
	app, err := millrace.New(topo, millrace.Config{
		ApplicationID: "app", Brokers: strings.Split(brokers, ","), StateDir: dir, CommitInterval: 20 * time.Millisecond, Hooks: []millrace.Hook{running},
		// The timeouts are long, so a result in time cannot have waited for them.
		SessionTimeout: 2 * patience, TransactionTimeout: 2 * patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		running.await(t, millrace.Running)
		fmt.Println("running")
	}()
	if err := app.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// startChild returns when the application is running in a separate process.
func startChild(t *testing.T, c *cluster, dir string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	child.Env = append(os.Environ(), childBrokers+"="+strings.Join(c.ListenAddrs(), ","), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Process.Kill()
		child.Wait()
	})
	defer time.AfterFunc(patience, func() { child.Process.Kill() }).Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "running" {
			return child
		}
	}
	t.Fatal("the child has ended, or does not run in time")
	return nil
}

// kill -9 under load neither loses nor doubles a record. A restarted process waits
// neither for a session nor for a transaction to time out.
func TestKillNine(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(4, "in", "out"))
	dir := t.TempDir()
	const rounds, perRound = 4, 3000
	total := 0
	for range rounds {
		began := time.Now()
		child := startChild(t, c, dir)
		t.Logf("running after %v", time.Since(began))
		for i := range perRound {
			n := total + i
			c.cl.Produce(context.Background(), &kgo.Record{Topic: "in", Key: fmt.Append(nil, "k", n), Value: fmt.Append(nil, "v", n%7), Timestamp: time.UnixMilli(int64(n))}, nil)
		}
		if err := c.cl.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		total += perRound
		c.read("out", total-perRound/2) // in the middle of the round
		child.Process.Kill()
		child.Wait()
	}
	startChild(t, c, dir)
	got := c.read("out", total)
	checkCounts(t, got)
	if len(got) != total {
		t.Errorf("%d records, want %d", len(got), total)
	}
}
