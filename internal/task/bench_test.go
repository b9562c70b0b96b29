package task

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

type countingSource struct{ n int }

func (*countingSource) Timestamp(in *graph.Input, _ processor.Timestamp) (processor.Timestamp, bool, error) {
	return in.Timestamp, true, nil
}

func (s *countingSource) Receive(*graph.Input) error { s.n++; return nil }

// BenchmarkProcess measures the task's own work for a record: the queue, the choice
// between two partitions, times and punctuation.
func BenchmarkProcess(b *testing.B) {
	const batch = 1000
	build := &builder{}
	build.source(false, "a", "b").New = func(graph.Task, *graph.Node, []any) (any, error) { return &countingSource{}, nil }
	s := newShell(b, build.graph(), "a", "b")
	s.start()
	records := func(topic string, from int) []graph.Input {
		slab := make([]graph.Input, batch/2)
		for i := range slab {
			slab[i] = graph.Input{Topic: topic, Offset: int64(from + i), Timestamp: processor.Timestamp(from + i), Value: []byte{1}}
		}
		return slab
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += batch {
		b.StopTimer()
		for _, topic := range []string{"a", "b"} {
			if err := s.task.Add(topic, 0, records(topic, n/2), 0); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if _, err := s.task.Process(time.UnixMilli(0), batch); err != nil {
			b.Fatal(err)
		}
	}
}

// nowhere accepts every record.
type nowhere struct{ limits Limits }

func (*nowhere) Send(graph.Output, processor.Metadata) error { return nil }
func (*nowhere) Partitions(string) (int32, error)            { return 1, nil }
func (n *nowhere) Limits(string, bool) *Limits               { return &n.limits }
func (*nowhere) Cautious(string) bool                        { return false }
func (*nowhere) Oversized(graph.Output) int                  { return 0 }

func TestSendingARecordAllocatesNothing(t *testing.T) {
	b := &builder{}
	sink := b.sink("out", b.source(false, "in"))
	s := newShell(t, b.graph(), "in")
	s.cfg.Out = &nowhere{Limits{MaxBytes: 1000, Ahead: 1000, Keyed: true}}
	s.start()
	out := graph.Output{Topic: "out", Key: []byte("k"), Value: []byte("v"), Node: sink}
	if allocs := testing.AllocsPerRun(100, func() { _ = s.task.nodes.Send(out) }); allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func TestProcessingARecordAllocatesNothing(t *testing.T) {
	build := &builder{}
	build.source(false, "a").New = func(graph.Task, *graph.Node, []any) (any, error) { return &countingSource{}, nil }
	s := newShell(t, build.graph(), "a")
	s.start()
	slab := make([]graph.Input, 5000)
	for i := range slab {
		slab[i] = graph.Input{Topic: "a", Offset: int64(i), Timestamp: processor.Timestamp(i), Value: []byte{1}}
	}
	if err := s.task.Add("a", 0, slab, 0); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(40, func() {
		if n, err := s.task.Process(time.UnixMilli(0), 100); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for 100 records, want none", allocs)
	}
}
