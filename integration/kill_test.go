package integration

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// torture determines the number of kills. The default is a few. If MILLRACE_TORTURE is
// "full", it is the number with which the guarantees were checked.
type torture struct {
	kills, records int
}

func tortureOf() torture {
	if fullTorture() {
		return torture{kills: 24, records: 200_000}
	}
	return torture{kills: 4, records: 40_000}
}

func fullTorture() bool { return os.Getenv("MILLRACE_TORTURE") == "full" }

// scenario is a way to disturb processes that count.
type scenario struct {
	every       bool
	atLeastOnce bool
	processes   int
	loseDisk    bool // at every second kill
	// before every third kill another process leaves the group and rejoins: two
	// rebalances
	leave bool
}

func TestKill(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]scenario{
		"every update":                {every: true, processes: 1},
		"merged updates":              {processes: 1},
		"lost disk":                   {every: true, processes: 1, loseDisk: true},
		"two processes":               {every: true, processes: 2, leave: true},
		"two processes and lost disk": {every: true, processes: 2, loseDisk: true, leave: true},
		"at least once":               {every: true, processes: 1, atLeastOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafka(t)
			c.kill(t, s, tortureOf())
		})
	}
}

// kill produces records chunk by chunk, starts a process, kills it at a random point, and
// repeats that. At the end, the processes finish the work, and their output is checked.
func (c *cluster) kill(t *testing.T, s scenario, with torture) {
	const partitions, keys = 4, 100
	application, in, out := name(t, "app"), name(t, "in"), name(t, "out")
	c.createTopic(t, in, partitions)
	c.createTopic(t, out, partitions)
	c.cleanUp(t, application)
	random := seedtest.Rand(t, "./integration")

	dirs := make([]string, s.processes)
	running := make([]*process, s.processes)
	var wiped []string
	launch := func(i int) {
		args := []string{"-brokers", c.brokers, "-app", application, "-in", in, "-out", out, "-state-dir", dirs[i]}
		if s.every {
			args = append(args, "-every-update")
		}
		if s.atLeastOnce {
			args = append(args, "-at-least-once")
		}
		running[i] = start(t, worker, args...)
	}
	for i := range dirs {
		dirs[i] = filepath.Join(t.TempDir(), "state")
		launch(i)
	}
	want := map[string]int64{}
	for k := range with.kills {
		for key, n := range c.produceKeyed(t, in, with.records/(with.kills+1), keys) {
			want[key] += n
		}
		i := random.IntN(s.processes)
		if s.leave && k%3 == 0 {
			other := (i + 1) % s.processes
			running[other].stop()
			wiped = append(wiped, running[other].wiped()...)
			launch(other)
		}
		if s.loseDisk {
			// a new identity waits for the session of the old one
			running[i].line("state running")
		}
		pause(time.Duration(random.IntN(600)) * time.Millisecond)
		running[i].kill()
		wiped = append(wiped, running[i].wiped()...)
		if s.loseDisk && k%2 == 0 {
			if err := os.RemoveAll(dirs[i]); err != nil {
				t.Fatal(err)
			}
		}
		launch(i)
	}
	for key, n := range c.produceKeyed(t, in, with.records/(with.kills+1), keys) {
		want[key] += n
	}
	c.drained(t, running, application, in, application+"-by-value-repartition")
	for _, p := range running {
		p.stop()
		wiped = append(wiped, p.wiped()...)
	}
	if len(wiped) > 0 {
		t.Errorf("state was wiped: %s", strings.Join(wiped, "; "))
	}
	if s.loseDisk {
		c.timedOut(t, out)
	}
	c.checkCounts(t, out, want, s)
}

// timedOut waits until no transaction on the topic is open. If a process has lost its
// disk, nothing knows its transactional IDs, so its transaction stays open until Kafka
// ends it.
func (c *cluster) timedOut(t *testing.T, topic string) {
	t.Helper()
	admin := c.admin(t)
	for {
		err := undecided(t.Context(), admin, topic)
		if err == nil {
			return
		}
		if !errors.Is(err, errOpen) {
			t.Fatal(err)
		}
		pause(100 * time.Millisecond)
	}
}

// checkCounts compares the outputs of each key with the guarantee.
func (c *cluster) checkCounts(t *testing.T, out string, want map[string]int64, s scenario) {
	t.Helper()
	got := c.counts(t, out)
	if len(got) != len(want) {
		t.Errorf("counts of %d keys, want %d", len(got), len(want))
	}
	for key, n := range want {
		values := got[key]
		switch {
		case len(values) == 0:
			t.Errorf("%s: no count, want %d", key, n)
		case s.atLeastOnce:
			if last := slices.Max(values); last < n {
				t.Errorf("%s: counted up to %d of %d: records were lost", key, last, n)
			}
		case s.every:
			for i, v := range values {
				if v != int64(i)+1 {
					t.Fatalf("%s: output %d is %d, want 1, 2, ..., %d: %v", key, i, v, n, around(values, i))
				}
			}
			if int64(len(values)) != n {
				t.Errorf("%s: %d outputs, want %d", key, len(values), n)
			}
		default:
			for i := 1; i < len(values); i++ {
				if values[i] <= values[i-1] {
					t.Fatalf("%s: output %d is not above the one before: %v", key, i, around(values, i))
				}
			}
			if last := values[len(values)-1]; last != n {
				t.Errorf("%s: counted up to %d, want %d", key, last, n)
			}
		}
	}
}

func around(values []int64, i int) []int64 {
	return values[max(0, i-3):min(len(values), i+4)]
}

// drained waits until the group has committed all records in the topics. Transaction
// markers at their ends do not count.
func (c *cluster) drained(t *testing.T, by []*process, application string, topics ...string) {
	t.Helper()
	admin := c.admin(t)
	deadline := time.Now().Add(patience)
	last := int64(-1)
	stable := 0
	for time.Now().Before(deadline) {
		lag := c.dataLag(t, admin, application, topics...)
		if lag == 0 && last == 0 {
			if stable++; stable == 3 {
				return
			}
		} else {
			stable = 0
		}
		last = lag
		for _, p := range by {
			if !p.running() {
				t.Fatalf("a process of %s has ended: %v", application, p.err)
			}
		}
		pause(100 * time.Millisecond)
	}
	t.Fatalf("%s has not finished: %d records are left", application, last)
}

// dataLag returns the number of offsets after the committed ones that may hold records.
// If only transaction markers follow the committed offset of a partition, its lag is
// zero.
func (c *cluster) dataLag(t *testing.T, admin *kadm.Client, group string, topics ...string) int64 {
	t.Helper()
	ends, err := admin.ListEndOffsets(t.Context(), topics...)
	if err != nil {
		return -1
	}
	offsets, err := admin.FetchOffsets(t.Context(), group)
	if err != nil {
		return -1
	}
	var lag int64
	ends.Each(func(end kadm.ListedOffset) {
		at, ok := offsets.Lookup(end.Topic, end.Partition)
		switch {
		case end.Err != nil:
			lag++
		case !ok && end.Offset > 0:
			lag += end.Offset
		case ok && at.At < end.Offset && c.hasRecords(t, admin, end.Topic, end.Partition, at.At, end.Offset):
			lag += end.Offset - at.At
		}
	})
	return lag
}
