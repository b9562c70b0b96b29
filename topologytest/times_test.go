package topologytest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// A sub-topology has so many windowed operators that their times do not fit into the
// metadata of the offsets. It keeps them in a changelog, and a lost disk loses none: a
// late record stays late.
func TestManyOperatorTimes(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	const operators = 60
	for i := range operators {
		name := fmt.Sprintf("counts-of-operator-%02d", i)
		topology.GroupByKey(in, "by-key-"+name).Window(topology.Tumbling(10*time.Millisecond)).Count(name, topology.InMemory()).Stream().To("out")
	}
	topo := build(t, b)
	if text := topo.Describe().String() + topo.Describe().DOT(); strings.Contains(text, "in-times") {
		t.Error("the store of the times is described")
	}
	for _, disk := range []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(1)} {
		d := topologytest.New(t, topo, topologytest.Start(start))
		records := topologytest.Input(d, "in", serde.String, serde.String)
		records.Send("k", "v", start)
		records.Send("k", "v", start.Add(20*time.Millisecond))
		if !slices.Contains(d.Topics(), "test-in-times-changelog") {
			t.Fatalf("no changelog of times among %v", d.Topics())
		}
		d.Crash("counts-of-operator-00", 0, disk)
		records.Send("k", "late", start.Add(time.Millisecond))
		if n := d.Dropped(); n != operators {
			t.Errorf("%d late records were dropped after a crash, want %d", n, operators)
		}
		d.Restart()
		records.Send("k", "late", start.Add(time.Millisecond))
		if n := d.Dropped(); n != 2*operators {
			t.Errorf("%d late records were dropped after a restart, want %d", n, 2*operators)
		}
	}
}
