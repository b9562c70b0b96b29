package assignment

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/taskid"
)

func TestAssignMeetsItsPromises(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 400, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		topo := randomTopology(r, 4, 16)
		members := randomMembers(r, topo, 1+r.IntN(7))
		plan := Assign(topo, members)

		checkComplete(t, topo, plan)
		if broken := unbalanced(topo, members, active(plan)); broken != "" {
			t.Fatalf("seed %d: %s", seed, broken)
		}
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if again := Assign(topo, members); !reflect.DeepEqual(again, plan) {
			t.Fatalf("seed %d: another order of members gives\n%v, not\n%v", seed, again, plan)
		}
	})
}

func TestAssignIsTheCheapestBalancedPlan(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 600, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		topo := randomTopology(r, 3, 3)
		if len(topo.Tasks()) > 7 {
			return
		}
		members := randomMembers(r, topo, 1+r.IntN(3))
		plan := Assign(topo, members)
		if got, want := priceOf(topo, members, active(plan)), cheapest(topo, members); got != want {
			t.Fatalf("seed %d: the plan costs %+v, the best one %+v\n%v", seed, got, want, plan)
		}
	})
}

// A balanced group stays as it is, even if the disks hold random state.
func TestAssignLeavesABalancedGroupAlone(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 200, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		topo := randomTopology(r, 4, 12)
		members := randomMembers(r, topo, 1+r.IntN(6))
		plan := Assign(topo, members)
		for i := range members {
			members[i].Owned = plan[members[i].ID].Active
			members[i].Lags = map[taskid.ID]int64{}
			for _, task := range topo.Tasks() {
				if r.IntN(2) == 0 {
					members[i].Lags[task] = int64(r.IntN(2000))
				}
			}
		}
		if again := Assign(topo, members); !reflect.DeepEqual(again, plan) {
			t.Fatalf("seed %d: %v became %v", seed, plan, again)
		}
	})
}

func one(partitions int32, stateful bool) Topology {
	return Topology{Fingerprint: "f", SubTopologies: []SubTopology{{Sources: []Source{{"in", partitions}}, Stateful: stateful}}}
}

func ids(partitions ...int32) []taskid.ID {
	var tasks []taskid.ID
	for _, p := range partitions {
		tasks = append(tasks, taskid.ID{Partition: p})
	}
	return tasks
}

func TestAssignJoinTakesOnlyItsShare(t *testing.T) {
	t.Parallel()
	plan := Assign(one(6, true), []Member{
		{ID: "a", Fingerprint: "f", Owned: ids(0, 1, 2)},
		{ID: "b", Fingerprint: "f", Owned: ids(3, 4, 5)},
		{ID: "c", Fingerprint: "f", Lags: map[taskid.ID]int64{{Partition: 1}: 10, {Partition: 5}: 0}},
	})
	want := Plan{"a": {ids(0, 2)}, "b": {ids(3, 4)}, "c": {ids(1, 5)}}
	if !reflect.DeepEqual(plan, want) {
		t.Fatalf("got %v, want %v: the tasks with state on c's disk move", plan, want)
	}
}

func TestAssignLeaveMovesOnlyTheOrphans(t *testing.T) {
	t.Parallel()
	plan := Assign(one(6, true), []Member{
		{ID: "a", Fingerprint: "f", Owned: ids(0, 2), Lags: map[taskid.ID]int64{{Partition: 5}: 4}},
		{ID: "b", Fingerprint: "f", Owned: ids(3, 4), Lags: map[taskid.ID]int64{{Partition: 5}: 9000, {Partition: 1}: 20}},
	})
	want := Plan{"a": {ids(0, 2, 5)}, "b": {ids(1, 3, 4)}}
	if !reflect.DeepEqual(plan, want) {
		t.Fatalf("got %v, want %v", plan, want)
	}
}

func TestAssignByCapacity(t *testing.T) {
	t.Parallel()
	plan := Assign(one(8, false), []Member{{ID: "a", Fingerprint: "f", Capacity: 1}, {ID: "b", Fingerprint: "f", Capacity: 3}})
	if a, b := len(plan["a"].Active), len(plan["b"].Active); a != 2 || b != 6 {
		t.Fatalf("got %d and %d tasks, want 2 and 6", a, b)
	}
}

func TestAssignSkipsOtherTopologies(t *testing.T) {
	t.Parallel()
	plan := Assign(one(4, true), []Member{
		{ID: "old", Fingerprint: "e", Owned: ids(0, 1, 2, 3)},
		{ID: "new", Fingerprint: "f"},
	})
	want := Plan{"old": {}, "new": {ids(0, 1, 2, 3)}}
	if !reflect.DeepEqual(plan, want) {
		t.Fatalf("got %v, want %v", plan, want)
	}
	if alone := Assign(one(4, true), []Member{{ID: "old", Fingerprint: "e"}}); !reflect.DeepEqual(alone, Plan{"old": {}}) {
		t.Fatalf("got %v, want no tasks", alone)
	}
}

func TestAssignDoubleOwnership(t *testing.T) {
	t.Parallel()
	plan := Assign(one(2, true), []Member{{ID: "b", Fingerprint: "f", Owned: ids(0, 1)}, {ID: "a", Fingerprint: "f", Owned: ids(0, 0, 9)}})
	want := Plan{"a": {ids(0)}, "b": {ids(1)}}
	if !reflect.DeepEqual(plan, want) {
		t.Fatalf("got %v, want %v", plan, want)
	}
}

func TestTopology(t *testing.T) {
	t.Parallel()
	topo := Topology{Fingerprint: "f", SubTopologies: []SubTopology{
		{ID: 1, Sources: []Source{{Topic: "b"}, {Topic: "a"}}},
		{ID: 0, Sources: []Source{{Topic: "c"}}},
	}}
	if err := topo.Validate(); err != nil {
		t.Fatal(err)
	}
	counted, missing := topo.WithPartitions(map[string]int32{"a": 3, "b": 2})
	if !slices.Equal(missing, []string{"c"}) || topo.SubTopologies[0].Sources[0].Partitions != 0 {
		t.Fatalf("missing %v, want c and an untouched original", missing)
	}
	if got, want := fmt.Sprint(counted.Tasks()), "[1_0 1_1 1_2]"; got != want {
		t.Fatalf("tasks %v, want %v", got, want)
	}
	for partition, want := range map[int32]string{0: "[{a 0} {b 0}]", 2: "[{a 2}]", 3: "[]", -1: "[]"} {
		if got := fmt.Sprint(counted.Partitions(taskid.Of(1, partition))); got != want {
			t.Errorf("partitions of 1_%d: %v, want %v", partition, got, want)
		}
	}

	bad := Topology{SubTopologies: []SubTopology{{ID: 1, Sources: []Source{{Topic: "a"}}}, {ID: 1}, {ID: 2, Sources: []Source{{Topic: "a"}}}}}
	const want = "the topology has no fingerprint\n" +
		"sub-topology 1: the number is negative or used twice\n" +
		"sub-topology 1 reads no topic, so it has no tasks\n" +
		"topic \"a\" is read by sub-topologies 1 and 2; they must be one"
	if err := bad.Validate(); err == nil || err.Error() != want {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func BenchmarkAssign(b *testing.B) {
	for _, size := range []struct{ subs, partitions, members int }{{2, 12, 3}, {4, 256, 16}, {10, 256, 64}} {
		topo := Topology{Fingerprint: "f"}
		for i := range size.subs {
			topo.SubTopologies = append(topo.SubTopologies, SubTopology{
				ID: int32(i), Stateful: true, Sources: []Source{{fmt.Sprint(i), int32(size.partitions)}},
			})
		}
		name := fmt.Sprintf("%dtasks-%dmembers", size.subs*size.partitions, size.members)
		r := rand.New(rand.NewPCG(1, 1))
		random := make([]Member, size.members)
		for i := range random {
			random[i] = Member{ID: fmt.Sprint(i), Fingerprint: "f", Lags: map[taskid.ID]int64{}}
			for _, task := range topo.Tasks() {
				if r.IntN(4) == 0 {
					random[i].Lags[task] = r.Int64N(100000)
				}
			}
		}
		b.Run(name+"/restart", func(b *testing.B) {
			for b.Loop() {
				Assign(topo, random)
			}
		})
		plan := Assign(topo, random)
		for i := range random {
			random[i].Owned = plan[random[i].ID].Active
		}
		b.Run(name+"/one-leaves", func(b *testing.B) {
			for b.Loop() {
				Assign(topo, random[1:])
			}
		})
		b.Run(name+"/nothing", func(b *testing.B) {
			for b.Loop() {
				Assign(topo, random)
			}
		})
	}
}
