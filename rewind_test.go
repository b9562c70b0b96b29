package millrace_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// While the application runs, the log is cut off below its position. The source's rule
// decides where to read again: the offsets come again with other records.
func TestLogCutOffWhileRunning(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String, topology.OutOfRangeLatest()).To("out")
	app := run(t, build(t, b), c.config("app", t.TempDir()))
	c.send("in", "a=1", "b=2", "c=3")
	if got := c.read("out", 3); !slices.Equal(got, []string{"a=1", "b=2", "c=3"}) {
		t.Fatalf("got %v", got)
	}
	eventually(t, "the offset is committed", func() bool { return c.committed("app", "in", 0) == 3 })
	// Requests for start and end; no others come while the log seems to end at offset 1.
	var asked atomic.Int32
	c.ControlKey(kmsg.ListOffsets.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		if req.Topics[0].Topic != "in" || asked.Add(1) > 2 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = "in"
		partition := kmsg.NewListOffsetsResponseTopicPartition()
		if partition.Timestamp = -1; req.Topics[0].Partitions[0].Timestamp == -1 {
			partition.Offset = 1
		} else {
			partition.Offset = 0
		}
		topic.Partitions = append(topic.Partitions, partition)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "in", Err: kerr.OffsetOutOfRange, Count: 1})
	if got := c.read("out", 5)[3:]; !slices.Equal(got, []string{"b=2", "c=3"}) {
		t.Errorf("got %v", got)
	}
	app.stop()
}
