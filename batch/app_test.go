package batch_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// TestApplication runs batches on a fake Kafka, in processes that come and go: every
// batch has one result, and the results add up.
func TestApplication(t *testing.T) {
	t.Parallel()
	// Under a virtual clock, a busy machine makes no boundary late.
	synctest.Test(t, testApplication)
}

func testApplication(t *testing.T) {
	const (
		each = 250 * time.Millisecond
		soon = 500 * time.Millisecond // of the virtual clock: the longest wait of a start
	)
	cluster := kafkatest.InBubble(t,
		kfake.SeedTopics(4, "words"), kfake.SeedTopics(1, "n"), kfake.SeedTopics(2, "rows"), kfake.SeedTopics(1, "window"))
	client := cluster.Client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ConsumeTopics("n", "rows", "window"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	start := func() (stop func()) {
		running, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		b := topology.New()
		five := batch.Every(topology.Source(b, "words", serde.String, serde.String), "every", each)
		var printed bytes.Buffer
		five.Count("count").Print(&printed)
		n := five.Count("n")
		n.To("n")
		n.Window(time.Minute).To("window")
		rows := batch.CountByValue(five, "by-value")
		rows.To("rows")
		rows.Window(time.Minute).Top(1).Print(&printed)
		app, err := millrace.New(build(t, b), millrace.Config{
			ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: t.TempDir(), Workers: 2, CommitInterval: 20 * time.Millisecond,
			ClientOptions: cluster.Dial(),
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(done)
			if err := app.Run(running); err != nil {
				t.Error("Run:", err)
			}
		}()
		stop = func() {
			cancel()
			<-done
		}
		t.Cleanup(stop)
		return stop
	}

	sent, counted, rows := int64(0), map[int64]int64{}, map[int64]map[string]int64{}
	windows := map[int64]int64{}
	read := func() {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d batches, %d windows, %d of %d records: %v", len(counted), len(windows), sum(counted), sent, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n, err := serde.Int64.Decode(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			end := r.Timestamp.UnixMilli()
			switch r.Topic {
			case "n":
				if _, twice := counted[end]; twice {
					t.Errorf("batch %d has two results", end)
				}
				counted[end] = n
			case "window":
				windows[end] += n
			case "rows":
				if rows[end] == nil {
					rows[end] = map[string]int64{}
				}
				if _, twice := rows[end][string(r.Key)]; twice {
					t.Errorf("batch %d has %q twice", end, r.Key)
				}
				rows[end][string(r.Key)] = n
			}
		})
	}
	// until sends records until n more batches have come.
	until := func(n int) {
		for want := len(counted) + n; len(counted) < want; {
			for i := range 20 {
				client.Produce(ctx, &kgo.Record{Topic: "words", Value: []byte("w" + strconv.Itoa(i%7))}, nil)
				sent++
			}
			if err := client.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			read()
		}
	}

	began := time.Now()
	stopA := start()
	until(3)
	if first := time.UnixMilli(slices.Min(slices.Collect(maps.Keys(counted)))); first.Sub(began) > each+soon {
		t.Errorf("the first batch ends %v after the start", first.Sub(began))
	}
	stopB := start()
	until(6)
	stopA()
	until(6)
	gathered := func() (n int64) {
		for _, r := range rows {
			n += sum(r)
		}
		return n
	}
	for sum(counted) < sent || gathered() < sent || len(windows) < len(counted) {
		read()
	}
	stopB()
	if sum(counted) != sent {
		t.Errorf("the batches have %d records, %d were sent", sum(counted), sent)
	}
	for end, n := range counted {
		total := int64(0)
		for other, n := range counted {
			if other <= end && other > end-time.Minute.Milliseconds() {
				total += n
			}
		}
		if windows[end] != total {
			t.Errorf("batch %d: the window has %d, want %d", end, windows[end], total)
		}
		if got := sum(rows[end]); got != n {
			t.Errorf("batch %d: CountByValue has %d, Count %d", end, got, n)
		}
	}
	checkNoGaps(t, counted, each.Milliseconds())
}

func sum[K comparable](m map[K]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

// checkNoGaps checks that each batch has a result.
func checkNoGaps(t *testing.T, counted map[int64]int64, each int64) {
	first, last := int64(1<<62), int64(0)
	for end := range counted {
		first, last = min(first, end), max(last, end)
	}
	var missing []string
	for end := first; end <= last; end += each {
		if _, ok := counted[end]; !ok {
			missing = append(missing, fmt.Sprint(end-first))
		}
	}
	if len(missing) > 0 {
		t.Errorf("of the batches up to %d, those that end at %v have no result", last-first, missing)
	}
}
