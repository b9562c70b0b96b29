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
			records = append(records, o.add(task, &out, processor.Metadata{Topic: "in", Offset: int64(i)}, nil))
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
		if o.origin(&kgo.Record{}) != nil {
			t.Error("a foreign record has an origin")
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
