package batch

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// traffic is a driver of a topology with all kinds of results on one Every of five
// seconds.
func traffic(t *testing.T, partitions int32, opts ...topologytest.Option) (*topologytest.Driver, *topologytest.InputTopic[string, string]) {
	b := topology.New()
	every := Every(topology.Source(b, "in", serde.String, serde.String), "every", 5*time.Second)
	every.Count("n").Window(10 * time.Second).Print(io.Discard)
	v := CountByValue(every, "v")
	v.Top(2).Print(io.Discard)
	v.Window(10 * time.Second).ForEach(func(Batch, []Row[string, int64]) error { return nil })
	ReduceByKey(every, "longest", func(a, b string) string { return max(a, b) }).Window(10 * time.Second).To("longest")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, append(opts, topologytest.Partitions("in", partitions))...)
	return d, topologytest.Input(d, "in", serde.String, serde.String)
}

// rowsLeft counts the rows of all stores, from their changelogs.
func rowsLeft(d *topologytest.Driver) map[string]int {
	left := map[string]int{}
	for _, store := range []string{"every", "n", "n-window-10s", "v", "v-window-10s", "longest", "longest-window-10s", "gather"} {
		rows := map[string]bool{}
		for _, r := range d.Topic("test-" + store + "-changelog") {
			key := fmt.Sprint(r.Partition, "/", string(r.Key))
			if rows[key] = true; r.Value == nil {
				delete(rows, key)
			}
		}
		left[store] = len(rows)
	}
	return left
}

// TestStateDoesNotGrow: of batches that are complete and in no window, nothing remains.
// The stores have only the progress of the senders, the last batch and the windows.
func TestStateDoesNotGrow(t *testing.T) {
	t.Parallel()
	d, in := traffic(t, 3)
	var first map[string]int
	for round := range 4 {
		for i := range 60 {
			value := fmt.Sprint("round ", round, " value ", i)
			in.Send(value, value, d.Now())
			d.Advance(400 * time.Millisecond)
		}
		if left := rowsLeft(d); left["v"] == 0 || left["v-window-10s"] == 0 {
			t.Fatalf("while there are batches the stores have %v rows", left)
		}
		d.Advance(20 * time.Second)
		left := rowsLeft(d)
		for _, store := range []string{"n", "n-window-10s", "v", "v-window-10s", "longest", "longest-window-10s"} {
			if left[store] != 0 {
				t.Errorf("round %d: %d rows are left in store %s", round, left[store], store)
			}
		}
		if first == nil {
			first = left
		}
		if !maps.Equal(left, first) {
			t.Errorf("round %d: %v rows are left, after the first round %v", round, left, first)
		}
	}
}

// TestTraffic: results on one Every share its markers, one from each task to each
// partition for each batch. A commit sends one record for each distinct value.
func TestTraffic(t *testing.T) {
	t.Parallel()
	const partitions, batches = 3, 4
	d, in := traffic(t, partitions, topologytest.CommitInterval(time.Hour))
	d.Advance(time.Millisecond)
	d.Commit() // the markers of the start
	sent := func() (markers int, partials map[string]int) {
		partials = map[string]int{}
		for _, r := range d.Topic("test-every-repartition") {
			m, err := wire.Messages.Decode(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if m.Kind == wire.Marker {
				markers++
			} else {
				partials[m.Name]++
			}
		}
		return markers, partials
	}
	before, _ := sent()
	for range 100 {
		in.Send("k", "a", d.Now())
		in.Send("k", "b", d.Now())
	}
	d.Commit()
	if _, partials := sent(); !maps.Equal(partials, map[string]int{"n": 1, "v": 2, "longest": 1}) {
		t.Errorf("a commit of 200 records sent the partial results %v", partials)
	}
	d.Advance(batches * 5 * time.Second)
	if after, _ := sent(); after-before != batches*partitions*partitions {
		t.Errorf("%d batches took %d markers, want %d", batches, after-before, batches*partitions*partitions)
	}
}

// TestChangedInterval: the interval changes while a batch is open. The batch ends at its
// old end, no record is lost, and windows still include the batches of the old interval.
func TestChangedInterval(t *testing.T) {
	t.Parallel()
	version := func(interval time.Duration) *topology.Topology {
		b := topology.New()
		n := Every(topology.Source(b, "in", serde.String, serde.String), "every", interval).Count("n")
		n.To("n")
		n.Window(30 * time.Second).To("window")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return topo
	}
	start := time.UnixMilli(1_000_002_000)
	d := topologytest.New(t, version(5*time.Second), topologytest.Partitions("in", 2), topologytest.Start(start))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	sent := int64(0)
	run := func(steps int) {
		for i := range steps {
			in.Send(fmt.Sprint(i), "v", d.Now())
			sent++
			d.Advance(time.Second)
		}
	}
	run(10) // to 12 s: the batch of 10 to 15 is open
	d.RestartWith(version(3 * time.Second))
	run(8) // to 20 s: the batch of 20 to 23 is open
	d.RestartWith(version(10 * time.Second))
	run(20)
	d.Advance(10 * time.Second)

	counts := func(topic string) (ends []int64, n map[int64]int64) {
		n = map[int64]int64{}
		for _, r := range topologytest.Output(d, topic, serde.Bytes, serde.Int64).Records() {
			end := int64(r.Timestamp) - 1_000_000_000
			ends, n[end] = append(ends, end), r.Value
		}
		return ends, n
	}
	ends, got := counts("n")
	// 1,000,017,000 is a multiple of 3000.
	if want := []int64{5000, 10_000, 15_000, 17_000, 20_000, 23_000, 30_000, 40_000, 50_000}; !slices.Equal(ends, want) {
		t.Errorf("the batches end at %v, want %v", ends, want)
	}
	all := int64(0)
	for _, n := range got {
		all += n
	}
	if all != sent {
		t.Errorf("the batches have %d records, %d were sent", all, sent)
	}
	_, windows := counts("window")
	for _, end := range ends {
		want := int64(0)
		for _, e := range ends {
			if e <= end && e > end-30_000 {
				want += got[e]
			}
		}
		if windows[end] != want {
			t.Errorf("the window at %d has %d, want %d", end, windows[end], want)
		}
	}
}
