package batch_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestByRecordTime compares batches by record time with a model. The content of such
// batches does not depend on the time of processing.
func TestByRecordTime(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
		recordTime(t, rand.New(rand.NewPCG(seed, 2)))
	})
}

func recordTime(t *testing.T, r *rand.Rand) {
	const step, grace = 1000, 2500
	parts := 1 + r.Int32N(3)
	b := topology.New()
	every := batch.Every(topology.Source(b, "in", serde.String, serde.String), "every", step*time.Millisecond, batch.ByRecordTime(grace*time.Millisecond))
	every.Count("n").To("n")
	batch.CountByValue(every, "rows").To("rows")
	d := topologytest.New(t, build(t, b), topologytest.Partitions("in", parts), topologytest.CommitInterval(time.Duration(r.IntN(2))*time.Second))
	in := topologytest.Input(d, "in", serde.String, serde.String)

	want := map[int64]map[string]int64{}
	now, newest := make([]int64, parts), make([]int64, parts)
	for p := range parts {
		now[p] = 1_000_000
	}
	late := int64(0)
	send := func(p int32, at int64, v string) {
		in.SendTo(p, processor.NewRecord("", v, processor.Timestamp(at)))
		// A batch is closed by the records before this one, and by the record itself.
		newest[p] = max(newest[p], at)
		end := at/step*step + step
		if end <= (newest[p]-grace)/step*step {
			late++
			return
		}
		if want[end] == nil {
			want[end] = map[string]int64{}
		}
		want[end][v]++
	}
	for range 200 {
		p := r.Int32N(parts)
		now[p] += int64(r.IntN(300))
		send(p, now[p]-int64(r.IntN(4500)), string(rune('a'+r.IntN(4))))
		switch r.IntN(20) {
		case 0:
			d.Crash("every-stamp", p, topologytest.LoseDisk)
		case 1:
			d.Advance(500 * time.Millisecond)
		case 2:
			d.CrashAll(topologytest.StaleDisk)
		}
	}
	const end = 2_000_000
	for p := range parts { // closes all earlier batches
		send(p, end, "end")
	}
	d.Commit()
	delete(want, end+step)
	got := map[int64]map[string]int64{}
	for _, rec := range d.Topic("rows") {
		n, err := serde.Int64.Decode(rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		if got[int64(rec.Timestamp)] == nil {
			got[int64(rec.Timestamp)] = map[string]int64{}
		}
		got[int64(rec.Timestamp)][string(rec.Key)] += n
	}
	if !maps.EqualFunc(got, want, maps.Equal[map[string]int64]) {
		t.Errorf("got %v, want %v", got, want)
	}
	if late == 0 || d.Dropped() < late {
		t.Errorf("%d records were dropped, want at least the %d late ones", d.Dropped(), late)
	}
	var ends []int64
	for _, rec := range d.Topic("n") {
		ends = append(ends, int64(rec.Timestamp))
	}
	if !slices.IsSorted(ends) || len(slices.Compact(slices.Clone(ends))) != len(ends) {
		t.Errorf("the batches %v are not in order, or twice", ends)
	}
}

// A record at the end of time closes all batches but the last one that has an end, which
// the record is in.
func TestRecordsAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	for name, first := range map[string][]processor.Timestamp{"first": nil, "after another one": {1500}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			every := batch.Every(topology.Source(b, "in", serde.String, serde.String), "every", time.Second, batch.ByRecordTime(0))
			every.Count("n").To("n")
			d := topologytest.New(t, build(t, b))
			in := topologytest.Input(d, "in", serde.String, serde.String)
			for _, at := range append(first, math.MaxInt64, math.MaxInt64) {
				in.SendTo(0, processor.NewRecord("k", "v", at))
			}
			d.Commit()
			if d.Dropped() > 0 {
				t.Errorf("%d records were dropped", d.Dropped())
			}
			if got := d.Topic("n"); len(got) != len(first) {
				t.Errorf("got %v", got)
			}
		})
	}
}
