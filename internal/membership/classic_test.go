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
	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/txn"
)

// patience is how long, on the virtual clock, a test waits for an expected event.
const patience = time.Minute

// recorder is a Handler that records its calls.
type recorder struct {
	mu      sync.Mutex
	held    map[taskid.ID]bool
	lost    int
	fatal   error
	changed chan struct{}
	onLost  func()
}

func newRecorder() *recorder {
	return &recorder{held: map[taskid.ID]bool{}, changed: make(chan struct{}, 1000)}
}

func (r *recorder) Assigned(_ int32, tasks []taskid.ID) {
	r.mu.Lock()
	for _, t := range tasks {
		r.held[t] = true
	}
	r.mu.Unlock()
	r.changed <- struct{}{}
}

func (r *recorder) Revoked(_ int32, tasks []taskid.ID) { r.drop(tasks) }

func (r *recorder) Lost(tasks []taskid.ID) {
	if r.onLost != nil {
		r.onLost()
	}
	r.mu.Lock()
	r.lost++
	r.mu.Unlock()
	r.drop(tasks)
}

func (r *recorder) drop(tasks []taskid.ID) {
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

// await waits until a condition on the recorded calls holds.
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
	net    *kfake.VirtualNetwork
	mu     sync.Mutex
	cond   *sync.Cond
	frozen bool
}

func newLine(net *kfake.VirtualNetwork) *line {
	l := &line{net: net}
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
	c, err := l.net.DialContext(ctx, network, host)
	return &gated{c, l}, err
}

type gated struct {
	net.Conn
	l *line
}

func (c *gated) Write(b []byte) (int, error) { c.l.gate(); return c.Conn.Write(b) }
func (c *gated) Read(b []byte) (int, error)  { n, err := c.Conn.Read(b); c.l.gate(); return n, err }

// world is a cluster on a virtual network and under a virtual clock, with a topic of four
// partitions. A busy machine cannot end a session.
type world struct {
	*testing.T
	*kafkatest.Cluster
}

func inWorld(t *testing.T, f func(*world)) {
	t.Helper()
	t.Parallel()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) { f(&world{t, c}) }, kfake.SeedTopics(4, "in"))
}

func (w *world) join(instance string, handler Handler, opts ...kgo.Opt) *Classic {
	w.Helper()
	opts = append(append(w.Options(), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })), opts...)
	m, err := Join(Config{
		Opts: opts, Group: "app", InstanceID: instance,
		Topology: assignment.Topology{Fingerprint: "f", SubTopologies: []assignment.SubTopology{{Sources: []assignment.Source{{Topic: "in"}}}}},
		Subscription: func() assignment.Subscription {
			return assignment.Subscription{ProcessID: instance, Capacity: 1, Lags: map[taskid.ID]int64{}}
		},
		SessionTimeout: 500 * time.Millisecond, RebalanceTimeout: 2 * time.Second, Handler: handler, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func (w *world) stop(m *Classic, leave bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Stop(ctx, leave); err != nil {
		w.Error(err)
	}
}

var all = []string{"0_0", "0_1", "0_2", "0_3"}

func TestTasksAreSharedAndTakenOver(t *testing.T) {
	inWorld(t, func(w *world) {
		ra, rb := newRecorder(), newRecorder()
		a := w.join("a", ra)
		ra.await(w.T, "a has all tasks", func() bool { return slices.Equal(ra.tasks(), all) })
		b := w.join("b", rb)
		rb.await(w.T, "b has its share", func() bool { return len(rb.tasks()) == 2 })
		ra.await(w.T, "a has its share", func() bool { return len(ra.tasks()) == 2 })
		if id := b.Identity(); id.MemberID == "" || id.Generation < 1 || id.InstanceID != "b" {
			w.Errorf("identity %+v", id)
		}
		w.stop(b, true)
		if got := rb.tasks(); len(got) != 0 {
			w.Errorf("after the end b has %v", got)
		}
		ra.await(w.T, "a has all tasks again", func() bool { return slices.Equal(ra.tasks(), all) })
		w.stop(a, true)
		if n := len(w.GroupInfo("app").Members); n != 0 {
			w.Errorf("%d members are left", n)
		}
	})
}

func TestStayKeepsTheTasks(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := newRecorder(), newRecorder()
		a := w.join("a", first)
		first.await(w.T, "all tasks", func() bool { return slices.Equal(first.tasks(), all) })
		generation := a.Identity().Generation
		w.stop(a, false)
		if n := len(w.GroupInfo("app").Members); n != 1 {
			w.Errorf("%d members", n)
		}
		a = w.join("a", second)
		second.await(w.T, "all tasks", func() bool { return slices.Equal(second.tasks(), all) })
		if again := a.Identity().Generation; again != generation {
			w.Errorf("generation %d became %d: there was a rebalance", generation, again)
		}
		w.stop(a, true)
	})
}

// A member was declared dead. From the moment it learns so until its tasks are dropped,
// it has no identity. Its old identity is not refreshed.
func TestNoIdentityWhileTasksAreLost(t *testing.T) {
	inWorld(t, func(w *world) {
		l := newLine(w.Net)
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
		a = w.join("a", ra, kgo.Dialer(l.dial))
		ra.await(w.T, "a has all tasks", func() bool { return slices.Equal(ra.tasks(), all) })
		before = a.Identity()
		l.freeze(true)
		b := w.join("b", rb)
		rb.await(w.T, "b has all tasks", func() bool { return slices.Equal(rb.tasks(), all) })
		l.freeze(false)
		ra.await(w.T, "a has lost its tasks", func() bool { ra.mu.Lock(); defer ra.mu.Unlock(); return ra.lost > 0 })
		if during.MemberID != "" || !errors.Is(refreshed, errIncarnation) {
			w.Errorf("while they are lost: identity %+v, refreshed %v", during, refreshed)
		}
		ra.await(w.T, "a has some again", func() bool { return len(ra.tasks()) == 2 })
		if after := a.Identity(); after.MemberID == "" || after.MemberID == before.MemberID {
			w.Errorf("identity %+v after %+v", after, before)
		}
		w.stop(a, true)
		w.stop(b, true)
	})
}

// If the client becomes another member without notice, it drops everything first.
func TestUnknownMemberWhileJoining(t *testing.T) {
	inWorld(t, func(w *world) {
		r := newRecorder()
		m := w.join("a", r)
		r.await(w.T, "all tasks", func() bool { return slices.Equal(r.tasks(), all) })
		before := m.Identity()
		fault := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.UnknownMemberID, Count: 1, TopLevel: true})
		m.Rejoin()
		r.await(w.T, "the tasks were lost", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.lost == 1 })
		r.await(w.T, "and are back", func() bool { return slices.Equal(r.tasks(), all) })
		if fault.Hits() != 1 {
			w.Errorf("refused %d times", fault.Hits())
		}
		if after := m.Identity(); after.MemberID == before.MemberID {
			w.Errorf("still %+v", after)
		}
		w.stop(m, true)
	})
}

func TestRefreshWaitsForTheNextGeneration(t *testing.T) {
	inWorld(t, func(w *world) {
		ra, rb := newRecorder(), newRecorder()
		a := w.join("a", ra)
		ra.await(w.T, "all tasks", func() bool { return slices.Equal(ra.tasks(), all) })
		stale := a.Identity()
		b := w.join("b", rb)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		id, err := a.Refresh(ctx, stale)
		if err != nil || id.MemberID != stale.MemberID || id.Generation <= stale.Generation {
			w.Errorf("%+v after %+v: %v", id, stale, err)
		}
		short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if _, err := a.Refresh(short, txn.Identity{MemberID: id.MemberID, Generation: 1000}); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("a generation that never comes: %v", err)
		}
		w.stop(a, true)
		w.stop(b, true)
	})
}

func TestSecondProcessWithTheSameIdentity(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := newRecorder(), newRecorder()
		a := w.join("a", first)
		first.await(w.T, "all tasks", func() bool { return slices.Equal(first.tasks(), all) })
		b := w.join("a", second)
		first.await(w.T, "the first is fenced", func() bool { first.mu.Lock(); defer first.mu.Unlock(); return first.fatal != nil })
		if err := first.fatal; !errors.Is(err, kerr.FencedInstanceID) || !strings.Contains(err.Error(), "copy of this state directory") {
			w.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = a.Stop(ctx, false)
		second.await(w.T, "the second has all tasks", func() bool { return slices.Equal(second.tasks(), all) })
		w.stop(b, true)
	})
}
