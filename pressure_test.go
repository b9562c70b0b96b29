package millrace_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// fill produces n records of size bytes to one partition, with timestamps from 0, step ms
// apart.
func (c *cluster) fill(topic string, partition int32, n, size int, step int64) {
	c.t.Helper()
	cl := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := bytes.Repeat([]byte("x"), size)
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Append(nil, i), Value: value, Timestamp: time.UnixMilli(int64(i) * step)}
		cl.Produce(context.Background(), r, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

// Memory for input stays bounded if one partition has far more records than the others
// and the task has to wait for another one.
func TestInputMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "much", "little"))
	const memory, size, many, few = 1 << 20, 1000, 12_000, 200
	c.fill("much", 0, many, size, 1)
	c.fill("much", 1, few, size, 1)
	c.fill("little", 0, few, size, many/few)
	var processed atomic.Int64
	b := topology.New()
	much := topology.Source(b, "much", serde.String, serde.Bytes)
	little := topology.Source(b, "little", serde.String, serde.Bytes)
	much.Merge(little).ForEach(func(record) error { processed.Add(1); return nil })
	cfg := c.config("app", t.TempDir())
	cfg.BufferMemory = memory
	app := run(t, build(t, b), cfg)
	var most int64
	eventually(t, "all is processed", func() bool {
		most = max(most, app.Snapshot().BufferedBytes)
		return processed.Load() == many+2*few
	})
	// A fetch brings one batch of a partition in any case, of 1 MiB at most.
	if limit := int64(memory + 3*memory*5/4); most > limit {
		t.Errorf("%d bytes were buffered, the bound is %d", most, limit)
	}
	eventually(t, "nothing is buffered", func() bool { return app.Snapshot().BufferedBytes == 0 })
	app.stop()
}

// Records that a task has taken and not processed count as buffered, even while user code
// keeps the task busy.
func TestTakenInputCountsAsBuffered(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in"))
	c.fill("in", 0, 100, 1000, 1)
	goOn := make(chan struct{})
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.Bytes).ForEach(func(record) error { <-goOn; return nil })
	app := run(t, build(t, b), c.config("app", t.TempDir()))
	eventually(t, "all that was fetched counts", func() bool { return app.Snapshot().BufferedBytes >= 100*1000 })
	close(goOn)
	app.stop()
}

// Records of two topics are processed in order of their timestamps, even if the broker
// delivers one topic later.
func TestMergeByTimestamp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "left", "right", "out"))
	c.fill("left", 0, 3000, 300, 2)
	c.fill("right", 0, 3000, 10, 2)
	var last, disorder atomic.Int64
	b := topology.New()
	left := topology.Source(b, "left", serde.String, serde.Bytes)
	right := topology.Source(b, "right", serde.String, serde.Bytes)
	var n atomic.Int64
	out := topology.MapValues(left.Merge(right).PeekRecord(func(r record) error {
		if int64(r.Timestamp) < last.Swap(int64(r.Timestamp)) {
			disorder.Add(1)
		}
		n.Add(1)
		return nil
	}), func(v []byte) []byte { return v[:1] }, serde.Bytes)
	out.To("out")
	app := run(t, build(t, b), c.config("app", t.TempDir()))
	c.read("out", 6000)
	if disorder.Load() > 0 {
		t.Errorf("%d of %d records came after a later one", disorder.Load(), n.Load())
	}
	app.stop()
}

// holder holds more memory than is allowed.
type holder struct{}

func (holder) Init(processor.Context[string, []byte]) error { return nil }

func (holder) Process(ctx processor.Context[string, []byte], r record) error {
	ctx.SetHeld(1 << 40)
	ctx.Forward(r)
	return nil
}

func (holder) Flush(ctx processor.Context[string, []byte]) error {
	ctx.SetHeld(0)
	return nil
}

// Memory that a processor holds counts as state, even in a task without stores. Too much
// of it is committed before the interval has passed.
func TestHeldMemoryCommitsEarly(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	c.fill("in", 0, 10, 10, 1)
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Bytes)
	topology.Process(in, "hold", func() holder { return holder{} }, serde.String, serde.Bytes).To("out")
	cfg := c.config("app", t.TempDir())
	cfg.CommitInterval, cfg.TransactionTimeout = 5*time.Minute, 10*time.Minute
	app := run(t, build(t, b), cfg)
	c.read("out", 10) // the first commit is early in any case
	c.fill("in", 0, 10, 10, 1)
	c.read("out", 20)
	app.stop()
}
