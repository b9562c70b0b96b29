package topologytest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

var start = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func build(t testing.TB, b *topology.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func lines[V any](records []processor.Record[string, V]) []string {
	var out []string
	for _, r := range records {
		out = append(out, fmt.Sprintf("%s=%v", r.Key, r.Value))
	}
	return out
}

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// wordCount counts words: two sub-topologies, with a repartition topic between them.
func wordCount(t testing.TB) *topology.Topology {
	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)
	words := topology.FlatMapValues(lines, func(s string) []string { return strings.Fields(s) }, serde.String)
	counts := topology.GroupBy(words, "by-word", func(w string) string { return w }, serde.String).Count("counts")
	counts.Stream().To("totals")
	return build(t, b)
}

func TestRecordsPassThroughSubTopologies(t *testing.T) {
	t.Parallel()
	looksAtRepartitionTopic(t)
	d := topologytest.New(t, wordCount(t), topologytest.Partitions("lines", 3))
	in := topologytest.Input(d, "lines", serde.String, serde.String)
	out := topologytest.Output(d, "totals", serde.String, serde.Int64)
	in.Send("1", "a b a", start)
	got := lines(out.Records())
	slices.Sort(got)
	want(t, got, "a=2", "b=1")
	in.Send("2", "b", start)
	want(t, lines(out.Records()), "b=2")
	want(t, lines(out.Records()))

	if n := len(d.Topic("test-by-word-repartition")); n != 4 {
		t.Errorf("%d records were repartitioned, want 4", n)
	}
	changes := d.Topic("test-counts-changelog")
	if len(changes) != 3 || string(changes[2].Key) != "b" || changes[2].Value[7] != 2 || changes[2].Timestamp != processor.TimestampOf(start) {
		t.Errorf("changelog %v", changes)
	}
	want(t, d.Topics(), "lines", "test-by-word-repartition", "test-counts-changelog", "totals")
	if n, _, err := topologytest.Store[state.KeyValueStore[string, int64]](d, "counts", changes[2].Partition).Get("b"); n != 2 || err != nil {
		t.Errorf("the store has %d, %v, want 2", n, err)
	}
}

func TestCommitIntervalMergesUpdates(t *testing.T) {
	t.Parallel()
	for _, every := range []bool{false, true} {
		opts := []topologytest.Option{topologytest.CommitInterval(100 * time.Millisecond), topologytest.Start(start)}
		wanted := []string{"a=3"}
		if every {
			opts, wanted = append(opts, topologytest.EveryUpdate()), []string{"a=1", "a=2", "a=3"}
		}
		d := topologytest.New(t, wordCount(t), opts...)
		in := topologytest.Input(d, "lines", serde.String, serde.String)
		out := topologytest.Output(d, "totals", serde.String, serde.Int64)
		for range 3 {
			in.Send("1", "a", start)
		}
		d.Advance(99 * time.Millisecond)
		want(t, lines(out.Records()))
		d.Advance(99 * time.Millisecond) // to the repartition topic
		want(t, lines(out.Records()))
		d.Advance(2 * time.Millisecond)
		want(t, lines(out.Records()), wanted...)
		if got := d.Now().Sub(start); got != 200*time.Millisecond {
			t.Errorf("the clock has moved by %v", got)
		}
	}
}

func TestCrashesLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk}
	seedtest.Run(t, 8, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		d := topologytest.New(t, wordCount(t), topologytest.Partitions("lines", 2), topologytest.Start(start), topologytest.EveryUpdate(),
			topologytest.CommitInterval(10*time.Millisecond), topologytest.Workers(1+r.IntN(3)))
		in := topologytest.Input(d, "lines", serde.String, serde.String)
		out := topologytest.Output(d, "totals", serde.String, serde.Int64)
		sent := map[string]int64{}
		for i := range 60 {
			word := string(rune('a' + r.IntN(4)))
			sent[word]++
			in.Send(fmt.Sprint(i), word, start.Add(time.Duration(i)*time.Millisecond))
			d.Advance(time.Duration(r.IntN(7)) * time.Millisecond)
			how := topologytest.TearDisk(seed + uint64(i))
			if n := r.IntN(4); n < len(disks) {
				how = disks[n]
			}
			switch r.IntN(12) {
			case 0:
				d.Crash("counts", int32(r.IntN(2)), how)
			case 1:
				d.CrashAll(how)
			case 2:
				d.Restart()
			}
		}
		d.Commit()
		seen := map[string]int64{}
		for _, record := range out.Records() {
			if seen[record.Key]++; record.Value != seen[record.Key] {
				t.Fatalf("%s=%d, want %d", record.Key, record.Value, seen[record.Key])
			}
		}
		for word, n := range sent {
			if seen[word] != n {
				t.Errorf("%s was counted %d times, want %d", word, seen[word], n)
			}
		}
	})
}

func TestAbortedOutputIsNeverVisible(t *testing.T) {
	t.Parallel()
	looksAtRepartitionTopic(t)
	d := topologytest.New(t, wordCount(t), topologytest.CommitInterval(time.Second))
	in := topologytest.Input(d, "lines", serde.String, serde.String)
	in.Send("1", "a a", start)
	d.Crash("by-word", 0)
	if got := d.Topic("test-by-word-repartition"); len(got) != 0 {
		t.Errorf("aborted records are visible: %v", got)
	}
	d.Commit()
	if got := d.Topic("test-by-word-repartition"); len(got) != 2 {
		t.Errorf("%d records after the commit, want 2", len(got))
	}
}

func TestOnDisk(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, wordCount(t), topologytest.OnDisk())
	in := topologytest.Input(d, "lines", serde.String, serde.String)
	out := topologytest.Output(d, "totals", serde.String, serde.Int64)
	in.Send("1", "a", start)
	d.Crash("counts", 0)
	in.Send("1", "a", start)
	d.Crash("counts", 0, topologytest.LoseDisk)
	in.Send("1", "a", start)
	d.Restart()
	in.Send("1", "a", start)
	want(t, lines(out.Records()), "a=1", "a=2", "a=3", "a=4")
	if err := d.Try(func() { d.Crash("counts", 0, topologytest.TearDisk(1)) }); err == nil {
		t.Error("a disk was torn on disk")
	}
}

// failing fails at "x" while on is set.
func failing(t testing.TB, on *bool) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.TryMapValues(in, func(v string) (string, error) {
		if v == "x" && *on {
			return "", errors.New("no x here")
		}
		return v + "!", nil
	}, serde.String, topology.Named("shout")).To("out")
	return build(t, b)
}

func TestTryReturnsTheFailure(t *testing.T) {
	t.Parallel()
	on := true
	d := topologytest.New(t, failing(t, &on))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	out := topologytest.Output(d, "out", serde.String, serde.String)
	in.Send("k", "a", start)
	err := d.Try(func() {
		in.Send("k", "x", start)
		in.Send("k", "b", start)
	})
	var e *processor.Error
	if !errors.As(err, &e) || e.Node != "shout" || e.Topic != "in" || e.Offset != 1 {
		t.Fatalf("got %v, want the failure at in/0@1 in shout", err)
	}
	want(t, lines(out.Records()), "k=a!")
}

func TestRestartResumesAtTheFailedRecord(t *testing.T) {
	t.Parallel()
	on := true
	d := topologytest.New(t, failing(t, &on))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	out := topologytest.Output(d, "out", serde.String, serde.String)
	if err := d.Try(func() { in.Send("k", "x", start) }); err == nil {
		t.Fatal("no failure")
	}
	if err := d.Try(d.Restart); err == nil {
		t.Fatal("the record did not fail again")
	}
	on = false
	d.Restart()
	in.Send("k", "b", start)
	want(t, lines(out.Records()), "k=x!", "k=b!")
}

func TestErrorPolicy(t *testing.T) {
	t.Parallel()
	on := true
	d := topologytest.New(t, failing(t, &on), topologytest.ErrorPolicy(processor.ErrorPolicy{
		Process: processor.DeadLetter, DeadLetterTopic: "dead", Produce: processor.Skip,
	}), topologytest.MaxMessageBytes("out", 300))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	in.Send("k", "x", start)
	in.Send("k", strings.Repeat("y", 500), start)
	in.Send("k", "b", start)
	want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "k=b!")
	dead := topologytest.Output(d, "dead", serde.String, serde.String).Records()
	want(t, lines(dead), "k=x")
	if text, _ := dead[0].Headers.Get(processor.DeadLetterError); string(text) != "no x here" {
		t.Errorf("the dead letter says %q", text)
	}
	if d.Dropped() != 2 || d.DropReasons()["error in process"] != 1 || d.DropReasons()["error in produce"] != 1 {
		t.Errorf("dropped %v", d.DropReasons())
	}
}

func TestAbsentKeysAndValues(t *testing.T) {
	t.Parallel()
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String).To("out")
	d := topologytest.New(t, build(t, b), topologytest.Partitions("in", 2), topologytest.Partitions("out", 2))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	for range 2 {
		in.SendRecord(processor.Record[string, string]{NoKey: true, Value: "v", Timestamp: 1})
	}
	in.SendTo(1, processor.Record[string, string]{Key: "", NoValue: true, Timestamp: 2, Headers: processor.Headers{{Key: "h"}}})
	d.Send("in", -1, []byte("k"), nil, 3)
	if err := d.Try(func() { d.Send("in", 0, nil, []byte{}, 4) }); err != nil {
		t.Fatal(err)
	}
	records := topologytest.Output(d, "out", serde.String, serde.String).Records()
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%q %v %q %v %d %d", r.Key, r.NoKey, r.Value, r.NoValue, r.Timestamp, len(r.Headers)))
	}
	want(t, got, `"" true "v" false 1 0`, `"" true "v" false 1 0`, `"" false "" true 2 1`, `"k" false "" true 3 0`, `"" true "" false 4 0`)
	if raw := d.Topic("in"); raw[0].Partition == raw[1].Partition || raw[2].Partition != 1 {
		t.Errorf("partitions of %v", raw)
	}
}

// ticker forwards how many records it has seen, each second of the clock and each ten
// seconds of stream time.
type ticker struct{}

var seen = state.KeyValue("seen", serde.String, serde.Int64)

func (ticker) Init(ctx processor.Context[string, int64]) error {
	tick := func(key string) processor.Punctuator[string, int64] {
		return func(ctx processor.Context[string, int64], now time.Time) error {
			n, _, err := state.Open(ctx, seen).Get("n")
			ctx.Forward(processor.NewRecord(key, n, processor.TimestampOf(now)))
			return err
		}
	}
	ctx.Every(time.Second, processor.WallClock, tick("wall"))
	ctx.Every(10*time.Second, processor.StreamTime, tick("stream"))
	return nil
}

func (ticker) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	store := state.Open(ctx, seen)
	n, _, err := store.Get("n")
	if err != nil {
		return err
	}
	return store.Put("n", n+1)
}

func TestPunctuators(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "ticker", func() ticker { return ticker{} }, serde.String, serde.Int64, seen).To("out")
	topo := build(t, b)

	d := topologytest.New(t, topo, topologytest.Start(start))
	records := topologytest.Input(d, "in", serde.String, serde.String)
	out := topologytest.Output(d, "out", serde.String, serde.Int64)
	show := func() (got []string) {
		for _, r := range out.Records() {
			got = append(got, fmt.Sprintf("%s=%d@%v", r.Key, r.Value, r.Timestamp.Time().Sub(start)))
		}
		return got
	}
	d.Advance(2500 * time.Millisecond)
	want(t, show(), "wall=0@1s", "wall=0@2s")
	records.Send("k", "1", start.Add(time.Second))
	want(t, show(), "stream=1@1s")
	// Wall-clock schedules of Init begin again. Stream-time schedules continue.
	d.Crash("ticker", 0, topologytest.LoseDisk)
	records.Send("k", "1", start.Add(9*time.Second))
	want(t, show())
	records.Send("k", "1", start.Add(11*time.Second))
	want(t, show(), "stream=3@11s")
	d.Advance(time.Second)
	want(t, show(), "wall=3@3.5s")

	d = topologytest.New(t, topo, topologytest.Start(start), topologytest.JavaOrder())
	out = topologytest.Output(d, "out", serde.String, serde.Int64)
	d.Advance(2500 * time.Millisecond)
	want(t, show(), "wall=0@2.5s")
}

// With JavaOrder, a repartitioned record competes with the other inputs of the one task,
// and each record commits.
func TestJavaOrder(t *testing.T) {
	t.Parallel()
	looksAtRepartitionTopic(t)
	d := topologytest.New(t, wordCount(t), topologytest.JavaOrder(), topologytest.Partitions("lines", 4), topologytest.ApplicationID("conf"))
	in := topologytest.Input(d, "lines", serde.String, serde.String)
	in.Send("1", "a b a", start)
	want(t, lines(topologytest.Output(d, "totals", serde.String, serde.Int64).Records()), "a=1", "b=1", "a=2")
	for _, topic := range d.Topics() {
		for i, r := range d.Topic(topic) {
			if r.Partition != 0 || r.Offset != int64(i) {
				t.Errorf("%s: %d/%d at %d", topic, r.Partition, r.Offset, i)
			}
		}
	}
	d.Crash("counts", 0, topologytest.LoseDisk)
	in.Send("1", "a", start)
	changes := d.Topic("conf-counts-changelog")
	if last := changes[len(changes)-1]; last.Value[7] != 3 {
		t.Errorf("the count after a crash is %v, want 3", last.Value)
	}
}

// retried counts in a store and fails once at each x. With Retry the task replays, and
// nothing is counted twice.
type retried struct{ failed map[int64]bool }

var retries = state.KeyValue("retries", serde.String, serde.Int64)

func (*retried) Init(processor.Context[string, int64]) error { return nil }

func (p *retried) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	store := state.Open(ctx, retries)
	n, _, err := store.Get("n")
	if err != nil {
		return err
	}
	if err := store.Put("n", n+1); err != nil {
		return err
	}
	if offset := ctx.Metadata().Offset; r.Value == "x" && !p.failed[offset] {
		p.failed[offset] = true
		return errors.New("once")
	}
	ctx.Forward(processor.NewRecord("n", n+1, r.Timestamp))
	return nil
}

func TestRetryReplaysTheTransaction(t *testing.T) {
	t.Parallel()
	failed := map[int64]bool{}
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "retried", func() *retried { return &retried{failed} }, serde.String, serde.Int64, retries).To("out")
	d := topologytest.New(t, build(t, b), topologytest.CommitInterval(time.Second), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Retry}))
	records := topologytest.Input(d, "in", serde.String, serde.String)
	for _, v := range []string{"a", "x", "b", "x"} {
		records.Send("k", v, start)
	}
	d.Commit()
	want(t, lines(topologytest.Output(d, "out", serde.String, serde.Int64).Records()), "n=1", "n=2", "n=3", "n=4")
}

// If an error happens below a table that merges updates, it names the record that made
// the last update.
func TestErrorBehindATable(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	counts := topology.GroupByKey(in, "by-key").Count("counts").Stream()
	topology.TryMapValues(counts, func(n int64) (int64, error) {
		if n == 2 {
			return 0, errors.New("two")
		}
		return n, nil
	}, serde.Int64, topology.Named("after")).To("out")
	d := topologytest.New(t, build(t, b), topologytest.CommitInterval(time.Second))
	records := topologytest.Input(d, "in", serde.String, serde.String)
	err := d.Try(func() {
		for _, key := range []string{"a", "b", "b", "c"} {
			records.Send(key, "v", start)
		}
		d.Commit()
	})
	var e *processor.Error
	if !errors.As(err, &e) || e.Node != "after" || e.Topic != "in" || e.Offset != 2 {
		t.Fatalf("got %v, want the error at in/0@2", err)
	}
}

func TestStoreOfAnotherType(t *testing.T) {
	t.Parallel()
	text := fatal(t, func(tb testing.TB) {
		topologytest.Store[state.KeyValueStore[string, string]](topologytest.New(tb, wordCount(tb)), "counts", 0)
	})
	if !strings.Contains(text, "store counts is a ") {
		t.Errorf("the test failed with %q", text)
	}
}
