package assignment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/taskid"
)

// process is a real client with a balancer, and a broker in the same process.

type process struct {
	name     string
	balancer *Balancer
	client   *kgo.Client
	world    *world

	lags map[taskid.ID]int64
	// guarded by world.mu
	last Received
	runs map[TopicPartition]bool
}

// world observes all processes.
type world struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	ctx     context.Context

	mu      sync.Mutex
	holder  map[TopicPartition]string
	wrong   []string
	changed chan struct{} // one element: something has changed
}

func newWorld(t *testing.T, topics map[string]int32) *world {
	var opts []kfake.Opt
	for topic, n := range topics {
		opts = append(opts, kfake.SeedTopics(n, topic))
	}
	cluster := kafkatest.New(t, append(opts, kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))...)
	// only a failing test takes that long
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return &world{t: t, cluster: cluster, ctx: ctx, holder: map[TopicPartition]string{}, changed: make(chan struct{}, 1)}
}

func (w *world) start(name string, topo Topology, lags map[taskid.ID]int64, opts ...kgo.Opt) *process {
	w.t.Helper()
	p := &process{name: name, world: w, lags: lags, runs: map[TopicPartition]bool{}}
	var err error
	p.balancer, err = NewBalancer(topo,
		func() Subscription {
			return Subscription{ProcessID: name, Capacity: 2, Endpoint: name + ":80", Lags: p.lags}
		}, p.received)
	if err != nil {
		w.t.Fatal(err)
	}
	p.client, err = kgo.NewClient(append(opts,
		kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.ConsumerGroup("g"), kgo.ConsumeTopics(topo.Topics()...), kgo.Balancers(p.balancer),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(50*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { p.own(m, true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { p.own(m, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { p.own(m, false) }),
	)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.client.Close)
	return p
}

func (p *process) received(r Received) {
	p.world.mu.Lock()
	p.last = r
	p.world.mu.Unlock()
	p.world.notify()
}

// got returns the last assignment. Another one may arrive at any time.
func (p *process) got() Received {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	return p.last
}

func (p *process) own(partitions map[string][]int32, gained bool) {
	p.world.mu.Lock()
	for topic, ps := range partitions {
		for _, n := range ps {
			part := TopicPartition{topic, n}
			if other := p.world.holder[part]; gained && other != "" && other != p.name {
				p.world.wrong = append(p.world.wrong, fmt.Sprintf("%v went to %s while %s had it", part, p.name, other))
			}
			if gained {
				p.world.holder[part], p.runs[part] = p.name, true
			} else {
				delete(p.world.holder, part)
				delete(p.runs, part)
			}
		}
	}
	p.world.mu.Unlock()
	p.world.notify()
}

func (w *world) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// until waits for a condition on the processes.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	for {
		w.mu.Lock()
		met, wrong := condition(), w.wrong
		w.mu.Unlock()
		if len(wrong) > 0 {
			w.t.Fatal(wrong)
		}
		if met {
			return
		}
		select {
		case <-w.changed:
		case <-w.ctx.Done():
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// settled reports whether each process runs exactly its assigned tasks, and all processes
// together run all tasks of the topology.
func settled(topo Topology, processes ...*process) bool {
	var tasks []taskid.ID
	for _, p := range processes {
		want := map[TopicPartition]bool{}
		for _, task := range p.last.Tasks.Active {
			for _, part := range topo.Partitions(task) {
				want[part] = true
			}
		}
		if !maps.Equal(p.runs, want) {
			return false
		}
		tasks = append(tasks, p.last.Tasks.Active...)
	}
	slices.SortFunc(tasks, taskid.ID.Compare)
	return slices.Equal(tasks, topo.Tasks())
}

func TestBalancerInAGroup(t *testing.T) {
	t.Parallel()
	topo := Topology{Fingerprint: "f", SubTopologies: []SubTopology{
		{ID: 0, Sources: []Source{{"left", 4}, {"right", 4}}, Stateful: true},
		{ID: 1, Sources: []Source{{"narrow", 2}}},
	}}
	w := newWorld(t, map[string]int32{"left": 4, "right": 4, "narrow": 2})

	a := w.start("a", topo, nil)
	w.until("a has all", func() bool { return settled(topo, a) })

	b := w.start("b", topo, map[taskid.ID]int64{taskid.Of(0, 1): 0, taskid.Of(0, 2): 3})
	w.until("a and b share", func() bool { return settled(topo, a, b) && len(b.last.Tasks.Active) == 3 })
	if got := b.got().Tasks.Active[:2]; !slices.Equal(got, []taskid.ID{taskid.Of(0, 1), taskid.Of(0, 2)}) {
		t.Errorf("b has %v: the tasks with state on its disk should move", got)
	}
	if got := b.got(); got.Seen != (Seen{Format: format, Fingerprint: "f", Endpoint: "b:80"}) || got.Fingerprint != "f" {
		t.Errorf("the leader saw %+v", got)
	}

	kept := [][]taskid.ID{slices.Clone(a.got().Tasks.Active), slices.Clone(b.got().Tasks.Active)}
	c := w.start("c", topo, nil)
	w.until("a, b and c share", func() bool { return settled(topo, a, b, c) && len(c.last.Tasks.Active) == 2 })
	for i, p := range []*process{a, b} {
		for _, task := range p.got().Tasks.Active {
			if !slices.Contains(kept[i], task) {
				t.Errorf("%s got %v when c joined", p.name, task)
			}
		}
	}

	kept = [][]taskid.ID{slices.Clone(a.got().Tasks.Active), slices.Clone(c.got().Tasks.Active)}
	b.client.Close()
	w.until("a and c have b's tasks", func() bool { return settled(topo, a, c) })
	for i, p := range []*process{a, c} {
		for _, task := range kept[i] {
			if !slices.Contains(p.got().Tasks.Active, task) {
				t.Errorf("%s lost %v when b left", p.name, task)
			}
		}
	}
}

// If a member that is not the leader changes its nonce, the group rebalances, and no task
// moves.
func TestBalancerRenew(t *testing.T) {
	t.Parallel()
	topo := one(4, true)
	w := newWorld(t, map[string]int32{"in": 4})
	a := w.start("a", topo, nil)
	w.until("a has all", func() bool { return settled(topo, a) })
	b := w.start("b", topo, nil)
	w.until("a and b share", func() bool { return settled(topo, a, b) && len(b.last.Tasks.Active) == 2 })
	if _, err := w.cluster.WaitGroupStable(w.ctx, "g", 2); err != nil {
		t.Fatal(err)
	}

	w.mu.Lock()
	kept := slices.Clone(b.last.Tasks.Active)
	a.last, b.last = Received{}, Received{}
	w.mu.Unlock()
	b.balancer.Renew()
	b.client.ForceRebalance()
	w.until("both have tasks anew", func() bool { return settled(topo, a, b) && slices.Equal(b.last.Tasks.Active, kept) })
}

// Static members restart. One more member has another topology. It gets no tasks, and a
// message with the reason.
func TestBalancerStaticMembersAndAnotherTopology(t *testing.T) {
	t.Parallel()
	topo, other := one(2, true), one(2, true)
	other.Fingerprint = "g"
	w := newWorld(t, map[string]int32{"in": 2})
	a := w.start("a", topo, nil, kgo.InstanceID("a"))
	w.until("a has all", func() bool { return settled(topo, a) })
	b := w.start("b", other, nil, kgo.InstanceID("b"))
	w.until("b is refused", func() bool { return b.last.Code == OtherTopology && settled(topo, a, b) })

	a.client.Close() // a static member stays in the group
	w.mu.Lock()
	w.holder = map[TopicPartition]string{}
	w.mu.Unlock()
	again := w.start("a", topo, nil, kgo.InstanceID("a"))
	w.until("a has all again", func() bool { return settled(topo, again, b) })
}
