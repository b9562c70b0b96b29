package integration

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
)

// app is one application of the worker program, with its topics and its directory.
type app struct {
	c           *cluster
	t           *testing.T
	application string
	in, out     string
	dir         string
}

func (c *cluster) app(t *testing.T, partitions int32) *app {
	t.Helper()
	a := &app{c: c, t: t, application: name(t, "app"), in: name(t, "in"), out: name(t, "out"), dir: filepath.Join(t.TempDir(), "state")}
	c.createTopic(t, a.in, partitions)
	c.createTopic(t, a.out, partitions)
	c.cleanUp(t, a.application)
	return a
}

func (a *app) start(more ...string) *process {
	a.t.Helper()
	args := append([]string{"-brokers", a.c.brokers, "-app", a.application, "-in", a.in, "-out", a.out, "-state-dir", a.dir, "-every-update"}, more...)
	return start(a.t, worker, args...)
}

// count produces n records, and waits until process p has committed all records that were
// produced so far.
func (a *app) count(p *process, n, keys int) map[string]int64 {
	a.t.Helper()
	want := a.c.produceKeyed(a.t, a.in, n, keys)
	a.c.drained(a.t, []*process{p}, a.application, a.in, a.application+"-by-value-repartition")
	return want
}

// next produces one record with the value and calls start. It returns the time from then
// until a new output for the value's key was visible to read_committed.
func (a *app) next(value string, start func()) time.Duration {
	a.t.Helper()
	ends, err := a.c.admin(a.t).ListCommittedOffsets(a.t.Context(), a.out)
	if err != nil {
		a.t.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) { from[end.Partition] = kgo.NewOffset().At(end.Offset) })
	client := a.c.client(a.t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{a.out: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err := a.c.client(a.t).ProduceSync(a.t.Context(), &kgo.Record{Topic: a.in, Value: []byte(value)}).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
	since := time.Now()
	start()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			a.t.Fatal("no output in time")
		}
		for _, r := range fetches.Records() {
			if string(r.Key) == value {
				return time.Since(since)
			}
		}
	}
}

// TestKilledProcessIsBackAtOnce: the process waits neither for its session nor for its
// transaction to time out. Both timeouts are longer than the test. The group does not
// rebalance.
func TestKilledProcessIsBackAtOnce(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 4)
	timeouts := []string{"-session", "10m", "-transaction", "10m"}
	p := a.start(timeouts...)
	want := a.count(p, 20_000, 1000)
	p.kill()
	before := p.generations()

	var again *process
	key := keyOf(7)
	took := a.next(key, func() { again = a.start(timeouts...) })
	// below 2 s on a machine that is not overloaded
	t.Logf("first output %v after the start", took)
	again.stop()
	if after := again.generations(); after[0] != before[len(before)-1] {
		t.Errorf("the group went from generation %v to %v", before, after)
	}
	if wiped := again.wiped(); len(wiped) > 0 {
		t.Errorf("state was wiped: %v", wiped)
	}
	want[key]++
	a.c.checkCounts(t, a.out, want, scenario{every: true})
}

func TestRestartWithNothingToRestore(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 4)
	for range 2 { // no record has arrived yet
		p := a.start()
		p.line("state running")
		p.stop()
	}
	p := a.start()
	want := a.count(p, 100, 10)
	p.stop()
	// everything is committed, and each changelog ends in a transaction marker
	p = a.start()
	p.line("state running")
	p.stop()
	a.c.checkCounts(t, a.out, want, scenario{every: true})
}

func TestRestoreOfChangelogThatEndsInAMarker(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 4)
	p := a.start()
	want := a.count(p, 1000, 10)
	p.stop()

	a.dir = filepath.Join(t.TempDir(), "another")
	p = a.start()
	p.line("state running")
	for key, n := range a.count(p, 1000, 10) {
		want[key] += n
	}
	p.stop()
	a.c.checkCounts(t, a.out, want, scenario{every: true})
}

func TestDeletedChangelogWipesWithItsReason(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 2)
	p := a.start()
	a.count(p, 1000, 10)
	p.stop()

	changelog := a.application + "-counts-changelog"
	a.c.deleteTopic(t, changelog)
	p = a.start()
	p.line("state running")
	p.stop()
	wiped := strings.Join(p.wiped(), "; ")
	if !strings.Contains(wiped, "counts") || !strings.Contains(wiped, "created again") {
		t.Errorf("reasons of the wipe: %q, want one that says that the changelog of counts was created again", wiped)
	}
}

func TestInputOf64Partitions(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 64)
	p := a.start()
	want := a.count(p, 20_000, 500)
	p.kill()
	p = a.start()
	for key, n := range a.count(p, 5000, 500) {
		want[key] += n
	}
	p.stop()
	a.c.checkCounts(t, a.out, want, scenario{every: true})
}

func TestRestartWithinTheSessionWithOneMoreSource(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 2)
	also, alsoOut := name(t, "also"), name(t, "also-out")
	a.c.createTopic(t, also, 2)
	a.c.createTopic(t, alsoOut, 2)
	p := a.start()
	want := a.count(p, 1000, 10)
	p.kill()

	p = a.start("-also", also, "-also-out", alsoOut)
	for key, n := range a.count(p, 1000, 10) {
		want[key] += n
	}
	sent := a.c.produceKeyed(t, also, 100, 10)
	a.c.drained(t, []*process{p}, a.application, also)
	p.stop()
	a.c.checkCounts(t, a.out, want, scenario{every: true})
	got := map[string]int64{}
	a.c.committed(t, alsoOut, func(r *kgo.Record) { got[strings.ToLower(string(r.Value))]++ })
	for key, n := range sent {
		if got[key] != n {
			t.Errorf("%s came out of the new source %d times, want %d", key, got[key], n)
		}
	}
}

func TestChangedPartitionCountIsRefused(t *testing.T) {
	t.Parallel()
	a := kafka(t).app(t, 2)
	p := a.start()
	a.count(p, 100, 10)
	p.stop()
	if _, err := a.c.admin(t).CreatePartitions(t.Context(), 2, a.in); err != nil {
		t.Fatal(err)
	}
	text, err := a.start().ended()
	if err == nil {
		t.Error("the process ended without an error")
	}
	for _, part := range []string{a.in, "2", "4"} {
		if !strings.Contains(text, part) {
			t.Errorf("the error does not mention %q:\n%s", part, tail(text, 5))
		}
	}
}

func TestTLSAndSCRAM(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	if c.secure == "" {
		t.Skip("MILLRACE_BROKERS names a cluster whose secure listener is not known")
	}
	admin := c.admin(t)
	_, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "millrace", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) { c.countsOverTLS(t, "millrace", "secret", guarantee) })
	}
}
