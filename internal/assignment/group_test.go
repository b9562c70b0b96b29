package assignment

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/taskid"
)

// simulated is a group without a broker. The balancers and their bytes are real. The
// members do what kgo does with them.
type simulated struct {
	t          *testing.T
	counts     map[string]int32
	members    []*simulatedMember // the first one leads
	generation int32
}

type simulatedMember struct {
	id       string
	instance *string
	balancer *Balancer
	lags     map[taskid.ID]int64
	endpoint string
	held     map[string][]int32
	joinedAt int32
	last     Received
}

func (g *simulated) join(id string, topo Topology) *simulatedMember {
	m := &simulatedMember{id: id, held: map[string][]int32{}, lags: map[taskid.ID]int64{}, joinedAt: -1}
	b, err := NewBalancer(topo,
		func() Subscription {
			return Subscription{ProcessID: id, Capacity: 1, Lags: m.lags, Endpoint: m.endpoint}
		},
		func(r Received) { m.last = r })
	if err != nil {
		g.t.Fatal(err)
	}
	m.balancer = b
	g.members = append(g.members, m)
	return m
}

func (g *simulated) leave(m *simulatedMember) {
	g.members = slices.DeleteFunc(g.members, func(x *simulatedMember) bool { return x == m })
}

// rebalance runs one round. It reports whether the members must join again.
func (g *simulated) rebalance() (again bool) {
	g.t.Helper()
	g.generation++
	var joined []kmsg.JoinGroupResponseMember
	for _, m := range g.members {
		j := kmsg.NewJoinGroupResponseMember()
		j.MemberID, j.InstanceID = m.id, m.instance
		topics := slices.Clone(m.balancer.topology.Topics())
		j.ProtocolMetadata = m.balancer.JoinGroupMetadata(topics, clonePartitions(m.held), m.joinedAt)
		joined = append(joined, j)
	}
	group, topics, err := g.members[0].balancer.MemberBalancer(joined)
	if err != nil {
		g.t.Fatal(err)
	}
	counts := map[string]int32{}
	for topic := range topics {
		counts[topic] = g.counts[topic]
	}
	plan, err := group.(kgo.GroupMemberBalancerOrError).BalanceOrError(counts)
	if err != nil {
		g.t.Fatal(err)
	}
	before := map[TopicPartition]string{}
	for _, m := range g.members {
		for topic, ps := range m.held {
			for _, p := range ps {
				before[TopicPartition{topic, p}] = m.id
			}
		}
	}
	for _, a := range plan.IntoSyncAssignment() {
		i := slices.IndexFunc(g.members, func(m *simulatedMember) bool { return m.id == a.MemberID })
		again = g.members[i].sync(g, a.MemberAssignment, before) || again
	}
	return again
}

func (m *simulatedMember) sync(g *simulated, bytes []byte, before map[TopicPartition]string) (again bool) {
	assigned, err := m.balancer.ParseSyncAssignment(bytes)
	if err != nil {
		g.t.Fatal(err)
	}
	for topic, ps := range assigned {
		for _, p := range ps {
			if holder := before[TopicPartition{topic, p}]; holder != "" && holder != m.id {
				g.t.Fatalf("%s %d goes to %s while %s holds it", topic, p, m.id, holder)
			}
		}
	}
	again = !covers(assigned, m.held) || m.last.Rejoin != ""
	m.held, m.joinedAt = assigned, g.generation
	return again
}

// settle rebalances until no member must join again, and returns the number of rounds.
func (g *simulated) settle() int {
	g.t.Helper()
	for round := 1; ; round++ {
		if !g.rebalance() {
			return round
		}
		if round > 10 {
			g.t.Fatal("the group does not settle")
		}
	}
}

func (g *simulated) tasks() map[string][]taskid.ID {
	out := map[string][]taskid.ID{}
	for _, m := range g.members {
		out[m.id] = m.last.Tasks.Active
	}
	return out
}

func clonePartitions(m map[string][]int32) map[string][]int32 {
	out := map[string][]int32{}
	for topic, ps := range m {
		out[topic] = slices.Clone(ps)
	}
	return out
}

// checkHeld compares the partitions of every member with those of its tasks: for each
// task, a member must hold all or none.
func (g *simulated) checkHeld(topo Topology) {
	g.t.Helper()
	for _, m := range g.members {
		want := claims{}
		for _, task := range m.last.Tasks.Active {
			want.add("", 0, topo.Partitions(task)...)
		}
		got := claims{}
		for topic, ps := range m.held {
			for _, p := range ps {
				got.add("", 0, TopicPartition{topic, p})
			}
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			g.t.Fatalf("%s has the tasks %v and the partitions %v", m.id, m.last.Tasks.Active, m.held)
		}
	}
}

func countsOf(topo Topology) map[string]int32 {
	counts := map[string]int32{}
	for _, s := range topo.SubTopologies {
		for _, src := range s.Sources {
			counts[src.Topic] = src.Partitions
		}
	}
	return counts
}

// Members join, leave, crash and restart at random. After each change the group settles
// in two rounds, balanced and complete. On the way, no partition is assigned while
// another member holds it, and a task moves with all its partitions.
func TestGroupHistories(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 150, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 4))
		topo := randomTopology(r, 4, 10)
		g := &simulated{t: t, counts: countsOf(topo)}
		next := 0
		for range 12 {
			if len(g.members) == 0 || r.IntN(5) > 1 {
				m := g.join(fmt.Sprintf("m%d", next), topo)
				for _, task := range topo.Tasks() {
					if r.IntN(4) == 0 {
						m.lags[task] = int64(r.IntN(100))
					}
				}
				next++
			} else if len(g.members) > 1 {
				g.leave(g.members[r.IntN(len(g.members))])
			}
			before, needed := g.tasks(), g.moves(topo)
			if rounds := g.settle(); rounds > 2 {
				t.Fatalf("%d rounds", rounds)
			}
			g.checkHeld(topo)
			checkSettled(t, topo, g)
			if g.settle() != 1 {
				t.Fatal("a settled group joins again")
			}
			if moved := movedBetween(before, g.tasks()); moved != needed {
				t.Fatalf("%d tasks moved, %d need to", moved, needed)
			}
		}
	})
}

func checkSettled(t *testing.T, topo Topology, g *simulated) {
	t.Helper()
	plan := Plan{}
	var runners []Member
	for _, m := range g.members {
		plan[m.id] = m.last.Tasks
		runners = append(runners, Member{ID: m.id})
	}
	checkComplete(t, topo, plan)
	if broken := unbalanced(topo, runners, active(plan)); broken != "" {
		t.Fatal(broken)
	}
}

// moves returns the least number of tasks that must change members now.
func (g *simulated) moves(topo Topology) int {
	var runners []Member
	for _, m := range g.members {
		runners = append(runners, Member{ID: m.id, Fingerprint: topo.Fingerprint, Owned: m.last.Tasks.Active})
	}
	return int(priceOf(topo, runners, active(Assign(topo, runners))).moved)
}

func movedBetween(before, after map[string][]taskid.ID) int {
	owner := map[taskid.ID]string{}
	for id, tasks := range after {
		for _, task := range tasks {
			owner[task] = id
		}
	}
	n := 0
	for id, tasks := range before {
		for _, task := range tasks {
			if owner[task] != id {
				n++
			}
		}
	}
	return n
}

func TestRollOutOfAnotherTopology(t *testing.T) {
	t.Parallel()
	old, changed := one(4, true), one(4, true)
	changed.Fingerprint = "g"
	changed.SubTopologies = append(slices.Clone(changed.SubTopologies), SubTopology{ID: 1, Sources: []Source{{Topic: "more"}}})
	g := &simulated{t: t, counts: map[string]int32{"in": 4, "more": 2}}
	a, b := g.join("a", old), g.join("b", old)
	g.settle()

	g.leave(b)
	b = g.join("b", changed)
	g.settle()
	if b.last.Code != OtherTopology || len(b.last.Tasks.Active) > 0 || len(a.last.Tasks.Active) != 4 || b.last.Rejoin != "" {
		t.Fatalf("while the old topology leads: a has %+v, b has %+v", a.last, b.last)
	}
	for _, part := range []string{"another topology", "fingerprint g", "leader (f)"} {
		if !strings.Contains(b.last.Message, part) {
			t.Errorf("%q does not say %q", b.last.Message, part)
		}
	}

	slices.Reverse(g.members) // b leads
	if rounds := g.settle(); rounds != 2 {
		t.Fatalf("%d rounds", rounds)
	}
	if got := fmt.Sprint(g.tasks()); got != "map[a:[] b:[0_0 0_1 0_2 0_3 1_0 1_1]]" || a.last.Code != OtherTopology {
		t.Fatalf("when the new topology leads: %s, a has %+v", got, a.last)
	}
}

func TestMissingTopics(t *testing.T) {
	t.Parallel()
	topo := one(4, true)
	g := &simulated{t: t, counts: map[string]int32{}}
	m := g.join("a", topo)
	g.settle()
	if m.last.Code != MissingTopics || !strings.Contains(m.last.Message, "do not exist or have no partitions: in;") || len(m.held) > 0 {
		t.Fatalf("got %+v, holding %v", m.last, m.held)
	}
	g.counts["in"] = 4
	g.settle()
	if m.last.Code != Assigned || len(m.held["in"]) != 4 {
		t.Fatalf("got %+v, holding %v", m.last, m.held)
	}
}

func TestUnreadableSubscription(t *testing.T) {
	t.Parallel()
	topo := one(2, true)
	var got Received
	b, err := NewBalancer(topo, func() Subscription { return Subscription{} }, func(r Received) { got = r })
	if err != nil {
		t.Fatal(err)
	}
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.UserData = []byte{7, 7, 1, 2, 3}
	members := []kmsg.JoinGroupResponseMember{
		{MemberID: "me", ProtocolMetadata: b.JoinGroupMetadata([]string{"in"}, nil, -1)},
		{MemberID: "later", ProtocolMetadata: meta.AppendTo(nil)},
	}
	group, _, err := b.MemberBalancer(members)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := group.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"in": 2})
	if err != nil {
		t.Fatal(err)
	}
	sync := plan.IntoSyncAssignment()
	_, later, err := parseSync(sync[0].MemberAssignment)
	if err != nil || sync[0].MemberID != "later" || later.Code != Unreadable || later.Seen.Format != 7 || len(later.Tasks.Active) > 0 {
		t.Fatalf("got %+v, %v", later, err)
	}
	if parts, err := b.ParseSyncAssignment(sync[1].MemberAssignment); err != nil || len(parts["in"]) != 2 || got.Rejoin != "" {
		t.Fatalf("got %v, %v, %+v", parts, err, got)
	}
	if _, _, err := b.MemberBalancer([]kmsg.JoinGroupResponseMember{{MemberID: "x", ProtocolMetadata: []byte{1}}}); err == nil {
		t.Fatal("bytes that are not a consumer's must be an error")
	}
}

// The coordinator may return an assignment that it stored for an earlier process with the
// same instance ID. If it does not fit, the process must not act on it.
func TestStaleAssignment(t *testing.T) {
	t.Parallel()
	fresh := Assignment{Fingerprint: "f", Seen: Seen{Format: format, Fingerprint: "f", Endpoint: "here:1"}, Tasks: Tasks{Active: ids(0)}}
	for name, tc := range map[string]struct {
		change func(*Assignment)
		held   map[string][]int32
		want   string
		keeps  bool
	}{
		"fits":           {func(*Assignment) {}, nil, "", true},
		"refused anew":   {func(a *Assignment) { a.Fingerprint, a.Code = "e", OtherTopology }, nil, "", true},
		"topology":       {func(a *Assignment) { a.Fingerprint, a.Seen.Fingerprint = "e", "e" }, nil, "another topology (fingerprint e, now f)", false},
		"endpoint":       {func(a *Assignment) { a.Seen.Endpoint = "there:1" }, nil, "another endpoint (\"there:1\", now \"here:1\")", false},
		"format":         {func(a *Assignment) { a.Seen.Format, a.Code = 1, Unreadable }, nil, "subscribed in format 1", false},
		"matched topics": {func(a *Assignment) { a.Seen.Matched = "in-1" }, nil, "other topics matched the patterns", true},
		"unreadable":     {func(a *Assignment) { a.Seen, a.Code = Seen{Format: format}, Unreadable }, nil, "", true},
		"nothing to do":  {func(a *Assignment) { a.Awaited = true }, nil, "former process with this instance ID", true},
		"it gives it up": {func(a *Assignment) { a.Awaited = true }, map[string][]int32{"in": {0, 1}}, "", true},
	} {
		var got Received
		b, err := NewBalancer(one(2, true), func() Subscription { return Subscription{Endpoint: "here:1"} }, func(r Received) { got = r })
		if err != nil {
			t.Fatal(err)
		}
		first := b.JoinGroupMetadata([]string{"in"}, tc.held, 1)
		a := fresh
		tc.change(&a)
		parts, err := b.ParseSyncAssignment(encodeSync(one(2, true), a))
		if err != nil {
			t.Fatal(name, err)
		}
		if (tc.want == "") != (got.Rejoin == "") || !strings.Contains(got.Rejoin, tc.want) {
			t.Errorf("%s: rejoin %q, want %q", name, got.Rejoin, tc.want)
		}
		if (len(parts) == 1) != tc.keeps || len(got.Tasks.Active) == 1 != tc.keeps {
			t.Errorf("%s: has %v and %v", name, parts, got.Tasks)
		}
		if renewed := string(b.JoinGroupMetadata([]string{"in"}, tc.held, 1)) != string(first); renewed != (tc.want != "") {
			t.Errorf("%s: joins with other bytes: %v", name, renewed)
		}
	}

	var got Received
	b, _ := NewBalancer(one(2, true), func() Subscription { return Subscription{} }, func(r Received) { got = r })
	if parts, err := b.ParseSyncAssignment(nil); err != nil || len(parts) > 0 || got.Rejoin == "" {
		t.Errorf("no bytes: %v, %v, %+v", parts, err, got)
	}
	if _, err := b.ParseSyncAssignment([]byte{1, 2, 3}); err == nil {
		t.Error("bytes that are no assignment must be an error")
	}
	first := b.JoinGroupMetadata(nil, nil, 1)
	if b.Renew(); string(first) == string(b.JoinGroupMetadata(nil, nil, 1)) {
		t.Error("Renew does not change the bytes")
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	topo := Topology{Fingerprint: "f", SubTopologies: []SubTopology{{Sources: []Source{{"x", 2}, {"y", 2}}}}}
	x0, y0, x1 := TopicPartition{"x", 0}, TopicPartition{"y", 0}, TopicPartition{"x", 1}
	c := claims{}
	c.add("a", 5, x0, y0)
	c.add("b", 4, y0, x1)
	c.add("c", 5, x1)

	if got := fmt.Sprint(c.owned(topo)); got != "map[a:[0_0] c:[0_1]]" {
		t.Errorf("owned: %s", got)
	}
	plan, awaited := c.withhold(topo, Plan{"a": {ids(0)}, "b": {ids(1)}, "c": {}})
	if got := fmt.Sprint(plan, awaited); got != "map[a:{[0_0]} b:{[]} c:{[]}] map[b:true c:true]" {
		t.Errorf("a's newer claim wins, b waits for c: %s", got)
	}
	c.add("d", 5, y0)
	plan, awaited = c.withhold(topo, Plan{"a": {ids(0)}})
	if got := fmt.Sprint(plan, awaited); got != "map[a:{[]}] map[a:true b:true d:true]" {
		t.Errorf("two equal claims to one partition withhold the task with all its partitions: %s", got)
	}
}
