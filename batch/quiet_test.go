package batch_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// commits counts the commits of all workers.
type commits struct{ n atomic.Int64 }

func (c *commits) OnCommit(millrace.Commit) { c.n.Add(1) }

// TestOpenBatchNeedsNoEarlyCommit has a record every 5 ms. Nobody waits for the records
// of an open batch, so that workers commit once per interval. The result of a batch is
// there soon after its end all the same, because each step asks for its commit.
func TestOpenBatchNeedsNoEarlyCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testOpenBatch)
}

func testOpenBatch(t *testing.T) {
	const (
		each     = time.Second
		interval = 100 * time.Millisecond
		batches  = 3
		steps    = 8 // at most: commits at the end of a batch
		late     = interval
	)
	cluster := kafkatest.InBubble(t, kfake.SeedTopics(1, "words", "rows"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := cluster.Client(kgo.ConsumeTopics("rows"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(10*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	b := topology.New()
	batch.CountByValue(batch.Every(topology.Source(b, "words", serde.String, serde.String), "every", each), "by-value").To("rows")
	var seen commits
	app, err := millrace.New(build(t, b), millrace.Config{
		ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: t.TempDir(), Workers: 1, CommitInterval: interval,
		Hooks: []millrace.Hook{&seen}, ClientOptions: cluster.Dial(),
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := app.Run(ctx); err != nil {
			t.Error("Run:", err)
		}
	}()
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for ctx.Err() == nil {
			client.Produce(ctx, &kgo.Record{Topic: "words", Value: []byte("w")}, nil)
			select {
			case <-time.After(each / 200):
			case <-ctx.Done():
			}
		}
	}()
	// next waits for the result of a batch, and returns the end of the batch.
	next := func() time.Time {
		for {
			fetches := client.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatal("no result")
			}
			if records := fetches.Records(); len(records) > 0 {
				return records[len(records)-1].Timestamp
			}
		}
	}
	next()
	before, began := seen.n.Load(), time.Now()
	for range batches {
		if end := next(); time.Since(end) > late {
			t.Errorf("the result came %v after the end of its batch", time.Since(end))
		}
	}
	took := time.Since(began)
	if n, most := seen.n.Load()-before, int64(took/interval)+batches*steps; n > most {
		t.Errorf("%d commits in %v, want at most %d", n, took, most)
	} else {
		t.Logf("%d commits in %v", n, took)
	}
	cancel()
	<-stopped
	<-sending
}
