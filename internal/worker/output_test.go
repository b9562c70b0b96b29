package worker

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

func TestOutputsKnowWhereTheyCameFrom(t *testing.T) {
	t.Parallel()
	var o outputs
	task, node := &Task{}, &graph.Node{Name: "sink"}
	for round := range 2 {
		var records []*kgo.Record
		for i := range 3*chunkSize + 1 {
			out := graph.Output{
				Topic: "out", Partition: -1, Key: []byte{byte(i), byte(i >> 8)}, Timestamp: processor.Timestamp(i), Node: node,
				Headers: processor.Headers{{Key: "h", Value: []byte("v")}},
			}
			records = append(records, o.add(&out))
			if i%2 == 0 {
				o.note(records[i], &origin{task: task, node: node, from: processor.Metadata{Topic: "in", Offset: int64(i)}, partition: -1})
			}
		}
		for i, r := range records {
			if r.Timestamp.UnixMilli() != int64(i) || r.Headers[0].Key != "h" {
				t.Fatalf("record %d: %+v", i, r)
			}
		}
		records[500].Partition = 3 // as the client sets it
		from := o.origin(records[500])
		out := from.output(records[500])
		if from.task != task || from.from.Offset != 500 || out.Node != node || out.Partition != -1 || !bytes.Equal(out.Key, []byte{244, 1}) {
			t.Errorf("round %d: %+v, %+v", round, from, out)
		}
		if o.origin(records[501]) != nil {
			t.Error("a record has an origin that was not noted")
		}
		first := records[0]
		o.reset()
		if first.Key != nil || o.used != 0 {
			t.Error("reset keeps records")
		}
		if o.origin(first) != nil {
			t.Error("a record of a former transaction has an origin")
		}
	}
}

// The memory of a large transaction is kept for the next ones, and released when they
// have become smaller.
func TestOutputsKeepWhatIsNeeded(t *testing.T) {
	var o outputs
	fill := func(n int) {
		for range n {
			o.add(&graph.Output{Topic: "out"})
		}
		o.reset()
	}
	fill(10 * chunkSize)
	if len(o.chunks) != 10 {
		t.Fatalf("%d chunks are kept", len(o.chunks))
	}
	if n := testing.AllocsPerRun(5, func() { fill(9 * chunkSize) }); n > 0 {
		t.Errorf("%v allocations, though there is memory", n)
	}
	for range 20 {
		fill(1)
	}
	if len(o.chunks) != 1 {
		t.Errorf("%d chunks are kept for small transactions", len(o.chunks))
	}
	fill((mostKept + 10) * chunkSize)
	if len(o.chunks) != mostKept {
		t.Errorf("%d chunks are kept, at most %d should be", len(o.chunks), mostKept)
	}
}
