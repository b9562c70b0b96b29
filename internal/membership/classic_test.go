package membership

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/txn"
)

const patience = 20 * time.Second

// recorder is a Handler that holds what it was given.
type recorder struct {
	mu      sync.Mutex
	held    map[assignment.TaskID]bool
	lost    int
	fatal   error
	changed chan struct{}
	onLost  func()
}

func newRecorder() *recorder {
	return &recorder{held: map[assignment.TaskID]bool{}, changed: make(chan struct{}, 1000)}
}

func (r *recorder) Assigned(_ int32, tasks []assignment.TaskID) {
	r.mu.Lock()
	for _, t := range tasks {
		r.held[t] = true
	}
	r.mu.Unlock()
	r.changed <- struct{}{}
}

func (r *recorder) Revoked(_ int32, tasks []assignment.TaskID) { r.drop(tasks) }

func (r *recorder) Lost(tasks []assignment.TaskID) {
	if r.onLost != nil {
		r.onLost()
	}
	r.mu.Lock()
	r.lost++
	r.mu.Unlock()
	r.drop(tasks)
}

func (r *recorder) drop(tasks []assignment.TaskID) {
	r.mu.Lock()
	for _, t := range tasks {
		delete(r.held, t)
	}
	r.mu.Unlock()
	r.changed <- struct{}{}
}

func (r *recorder) Trouble(err error, fatal bool) {
	r.mu.Lock()
	if fatal {
		r.fatal = err
	}
	r.mu.Unlock()
	r.changed <- struct{}{}
}

func (r *recorder) tasks() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for t := range r.held {
		out = append(out, t.String())
	}
	slices.Sort(out)
	return out
}

// await waits until a condition holds of what the handler has seen.
func (r *recorder) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		if holds() {
			return
		}
		select {
		case <-r.changed:
		case <-deadline:
			t.Fatalf("never: %s; tasks %v", what, r.tasks())
		}
	}
}

// line is a network that can be frozen.
type line struct {
	mu     sync.Mutex
	cond   *sync.Cond
	frozen bool
}

func newLine() *line {
	l := &line{}
	l.cond = sync.NewCond(&l.mu)
	return l
}

func (l *line) freeze(on bool) {
	l.mu.Lock()
	l.frozen = on
	l.mu.Unlock()
	l.cond.Broadcast()
}

func (l *line) gate() {
	l.mu.Lock()
	for l.frozen {
		l.cond.Wait()
	}
	l.mu.Unlock()
}

func (l *line) dial(ctx context.Context, network, host string) (net.Conn, error) {
	l.gate()
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	return &gated{c, l}, err
}

type gated struct {
	net.Conn
	l *line
}

func (c *gated) Write(b []byte) (int, error) { c.l.gate(); return c.Conn.Write(b) }
func (c *gated) Read(b []byte) (int, error)  { n, err := c.Conn.Read(b); c.l.gate(); return n, err }

func newCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.SeedTopics(4, "in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func join(t *testing.T, c *kfake.Cluster, instance string, handler Handler, opts ...kgo.Opt) *Classic {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, opts...)
	m, err := Join(Config{
		Opts: opts, Group: "app", InstanceID: instance,
		Topology: assignment.Topology{Fingerprint: "f", SubTopologies: []assignment.SubTopology{{Sources: []assignment.Source{{Topic: "in"}}}}},
		Subscription: func() assignment.Subscription {
			return assignment.Subscription{ProcessID: instance, Capacity: 1, Lags: map[assignment.TaskID]int64{}}
		},
		SessionTimeout: 500 * time.Millisecond, RebalanceTimeout: 2 * time.Second, Handler: handler, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func stop(t *testing.T, m *Classic, leave bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Stop(ctx, leave); err != nil {
		t.Error(err)
	}
}

var all = []string{"0_0", "0_1", "0_2", "0_3"}

func TestTasksAreSharedAndTakenOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ra, rb := newRecorder(), newRecorder()
	a := join(t, c, "a", ra)
	ra.await(t, "a has all tasks", func() bool { return slices.Equal(ra.tasks(), all) })
	b := join(t, c, "b", rb)
	rb.await(t, "b has its share", func() bool { return len(rb.tasks()) == 2 })
	ra.await(t, "a has its share", func() bool { return len(ra.tasks()) == 2 })
	if id := b.Identity(); id.MemberID == "" || id.Generation < 1 || id.InstanceID != "b" {
		t.Errorf("identity %+v", id)
	}
	stop(t, b, true)
	if got := rb.tasks(); len(got) != 0 {
		t.Errorf("after the end b has %v", got)
	}
	ra.await(t, "a has all tasks again", func() bool { return slices.Equal(ra.tasks(), all) })
	stop(t, a, true)
	if n := len(c.GroupInfo("app").Members); n != 0 {
		t.Errorf("%d members are left", n)
	}
}

func TestStayKeepsTheTasks(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := newRecorder(), newRecorder()
	a := join(t, c, "a", first)
	first.await(t, "all tasks", func() bool { return slices.Equal(first.tasks(), all) })
	generation := a.Identity().Generation
	stop(t, a, false)
	if n := len(c.GroupInfo("app").Members); n != 1 {
		t.Errorf("%d members", n)
	}
	a = join(t, c, "a", second)
	second.await(t, "all tasks", func() bool { return slices.Equal(second.tasks(), all) })
	if again := a.Identity().Generation; again != generation {
		t.Errorf("generation %d became %d: there was a rebalance", generation, again)
	}
	stop(t, a, true)
}

// A member that was taken for dead has no identity from the moment it learns so until its tasks are dropped, and its old identity is not refreshed.
func TestNoIdentityWhileTasksAreLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := newLine()
	ra, rb := newRecorder(), newRecorder()
	var a *Classic
	var before, during txn.Identity
	var refreshed error
	ra.onLost = func() {
		during = a.Identity()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, refreshed = a.Refresh(ctx, before)
	}
	a = join(t, c, "a", ra, kgo.Dialer(l.dial))
	ra.await(t, "a has all tasks", func() bool { return slices.Equal(ra.tasks(), all) })
	before = a.Identity()
	l.freeze(true)
	b := join(t, c, "b", rb)
	rb.await(t, "b has all tasks", func() bool { return slices.Equal(rb.tasks(), all) })
	l.freeze(false)
	ra.await(t, "a has lost its tasks", func() bool { ra.mu.Lock(); defer ra.mu.Unlock(); return ra.lost > 0 })
	if during.MemberID != "" || !errors.Is(refreshed, errIncarnation) {
		t.Errorf("while they are lost: identity %+v, refreshed %v", during, refreshed)
	}
	ra.await(t, "a has some again", func() bool { return len(ra.tasks()) == 2 })
	if after := a.Identity(); after.MemberID == "" || after.MemberID == before.MemberID {
		t.Errorf("identity %+v after %+v", after, before)
	}
	stop(t, a, true)
	stop(t, b, true)
}

// A client that becomes another member without a word drops everything first.
func TestUnknownMemberWhileJoining(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r := newRecorder()
	m := join(t, c, "a", r)
	r.await(t, "all tasks", func() bool { return slices.Equal(r.tasks(), all) })
	before := m.Identity()
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.UnknownMemberID, Count: 1, TopLevel: true})
	m.Rejoin()
	r.await(t, "the tasks were lost", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.lost == 1 })
	r.await(t, "and are back", func() bool { return slices.Equal(r.tasks(), all) })
	if fault.Hits() != 1 {
		t.Errorf("refused %d times", fault.Hits())
	}
	if after := m.Identity(); after.MemberID == before.MemberID {
		t.Errorf("still %+v", after)
	}
	stop(t, m, true)
}

func TestRefreshWaitsForTheNextGeneration(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ra, rb := newRecorder(), newRecorder()
	a := join(t, c, "a", ra)
	ra.await(t, "all tasks", func() bool { return slices.Equal(ra.tasks(), all) })
	stale := a.Identity()
	b := join(t, c, "b", rb)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := a.Refresh(ctx, stale)
	if err != nil || id.MemberID != stale.MemberID || id.Generation <= stale.Generation {
		t.Errorf("%+v after %+v: %v", id, stale, err)
	}
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := a.Refresh(short, txn.Identity{MemberID: id.MemberID, Generation: 1000}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a generation that never comes: %v", err)
	}
	stop(t, a, true)
	stop(t, b, true)
}

func TestSecondProcessWithTheSameIdentity(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := newRecorder(), newRecorder()
	a := join(t, c, "a", first)
	first.await(t, "all tasks", func() bool { return slices.Equal(first.tasks(), all) })
	b := join(t, c, "a", second)
	first.await(t, "the first is fenced", func() bool { first.mu.Lock(); defer first.mu.Unlock(); return first.fatal != nil })
	if err := first.fatal; !errors.Is(err, kerr.FencedInstanceID) || !strings.Contains(err.Error(), "copy of this state directory") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = a.Stop(ctx, false)
	second.await(t, "the second has all tasks", func() bool { return slices.Equal(second.tasks(), all) })
	stop(t, b, true)
}
