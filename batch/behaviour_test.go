package batch_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

type (
	words  = batch.Batches[string, string]
	driver struct {
		*topologytest.Driver
		in *topologytest.InputTopic[string, string]
	}
)

// start runs a topology that reads words from topic in, in batches of five seconds called
// five.
func start(t testing.TB, use func(five words), opts ...topologytest.Option) *driver {
	t.Helper()
	b := topology.New()
	use(batch.Every(topology.Source(b, "in", serde.String, serde.String), "five", 5*time.Second))
	opts = append([]topologytest.Option{topologytest.Partitions("in", 2), topologytest.Start(time.UnixMilli(1_000_000_000))}, opts...)
	d := topologytest.New(t, build(t, b), opts...)
	return &driver{d, topologytest.Input(d, "in", serde.String, serde.String)}
}

func (d *driver) send(words ...string) {
	for i, w := range words {
		d.in.SendTo(int32(i%2), processor.NewRecord(w, w, processor.TimestampOf(d.Now())))
	}
}

// TestForgottenTimestamp: a function returns a record without a timestamp. The record
// keeps the timestamp of the record that the function was given.
func TestForgottenTimestamp(t *testing.T) {
	t.Parallel()
	var seen []processor.Timestamp
	bare := processor.Record[string, string]{Key: "k", Value: "v"}
	look := func(r processor.Record[string, string]) bool { seen = append(seen, r.Timestamp); return true }
	d := start(t, func(five words) {
		mapped := batch.Map(five, func(processor.Record[string, string]) processor.Record[string, string] { return bare },
			serde.String, serde.String)
		mapped.FilterRecord(look).Count("map").Print(io.Discard)
		flat := batch.FlatMap(five, func(processor.Record[string, string]) []processor.Record[string, string] {
			return []processor.Record[string, string]{bare, bare}
		}, serde.String, serde.String)
		flat.FilterRecord(look).Count("flatmap").Print(io.Discard)
	})
	d.send("w")
	if want := processor.TimestampOf(d.Now()); !slices.Equal(seen, []processor.Timestamp{want, want, want}) {
		t.Errorf("timestamps %v, want three of %v", seen, want)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	var all, three, total bytes.Buffer
	d := start(t, func(five words) {
		v := batch.CountByValue(five, "v")
		v.Print(&all)
		v.Print(&three, batch.Rows(3)).Named("three")
		five.Count("n").Print(&total)
	})
	for i := range 12 {
		d.send(fmt.Sprintf("w%02d", 11-i))
	}
	d.Advance(5 * time.Second)
	d.Advance(5 * time.Second)
	const rule = "-------------------------------------------\n"
	head := func(ms int) string { return rule + "Time: " + printed(int64(ms)) + "\n" + rule }
	rows := ""
	for i := range 10 {
		rows += fmt.Sprintf("(w%02d,1)\n", i)
	}
	check := func(what, got, want string) {
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
	check("ten rows", all.String(), head(1_000_005_000)+rows+"...\n\n"+head(1_000_010_000)+"\n")
	check("three rows", three.String(), head(1_000_005_000)+"(w00,1)\n(w01,1)\n(w02,1)\n...\n\n"+head(1_000_010_000)+"\n")
	check("a total", total.String(), head(1_000_005_000)+"12\n\n"+head(1_000_010_000)+"0\n\n")
}

// writes counts the calls of Write.
type writes struct{ calls []string }

func (w *writes) Write(p []byte) (int, error) {
	w.calls = append(w.calls, string(p))
	return 0, errors.New("disk full")
}

// TestPrintAfterCommit: a block is one Write, after the commit. A crash before the commit
// does not repeat a block. An error of the writer does not end the topology.
func TestPrintAfterCommit(t *testing.T) {
	t.Parallel()
	var w writes
	d := start(t, func(five words) { five.Count("n").Print(&w) })
	d.send("a", "b")
	d.Advance(5 * time.Second)
	d.CrashAll(topologytest.LoseDisk)
	d.Restart()
	if len(w.calls) != 1 || !strings.HasSuffix(w.calls[0], "\n2\n\n") {
		t.Errorf("written: %q", w.calls)
	}
}

func TestEndRecords(t *testing.T) {
	t.Parallel()
	d := start(t, func(five words) {
		v := batch.CountByValue(five, "v")
		v.To("direct", batch.EndRecords())
		v.Top(1).To("gathered", batch.EndRecords())
	}, topologytest.Partitions("direct", 3))
	d.send("a", "b", "a")
	d.Advance(10 * time.Second)
	for topic, want := range map[string]string{
		"direct":   "1000005000: a=2 b=1, end records 0/2 x3 1/2 x3; 1000010000: end records 0/2 x3 1/2 x3; ",
		"gathered": "1000005000: a=2, end records 0/1 x1; 1000010000: end records 0/1 x1; ",
	} {
		if got := summary(t, d.Topic(topic)); got != want {
			t.Errorf("topic %s: %s\nwant %s", topic, got, want)
		}
	}
}

// summary returns the content of a topic, by batch. It fails the test if a row comes
// after the end records of its partition.
func summary(t *testing.T, records []topologytest.Record) (text string) {
	rows, ends := map[string][]string{}, map[string]map[string]int{}
	ended := map[string]int{}
	for _, r := range records {
		header, _ := r.Headers.Get(batch.HeaderBatch)
		at := string(header)
		place := fmt.Sprint(at, "/", r.Partition)
		if ends[at] == nil {
			ends[at] = map[string]int{}
		}
		sender, isEnd := r.Headers.Get(batch.HeaderBatchEnd)
		if !isEnd {
			n, err := serde.Int64.Decode(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			rows[at] = append(rows[at], fmt.Sprintf("%s=%d", r.Key, n))
			continue
		}
		if r.Key != nil || r.Value != nil {
			t.Errorf("an end record has key %q and value %q", r.Key, r.Value)
		}
		ends[at][string(sender)]++
		ended[place]++
	}
	for _, at := range slices.Sorted(maps.Keys(ends)) {
		slices.Sort(rows[at])
		text += at + ": " + strings.Join(rows[at], " ")
		if len(rows[at]) > 0 {
			text += ", "
		}
		text += "end records"
		for _, s := range slices.Sorted(maps.Keys(ends[at])) {
			text += fmt.Sprintf(" %s x%d", s, ends[at][s])
		}
		text += "; "
	}
	return text
}

// TestOrder: ties and unsorted rows are in order of the bytes of their keys, and results
// are in order of declaration.
func TestOrder(t *testing.T) {
	t.Parallel()
	var got []string
	note := func(name string) func(batch.Batch, []batch.Row[string, int64]) error {
		return func(_ batch.Batch, rows []batch.Row[string, int64]) error {
			got = append(got, fmt.Sprint(name, rows))
			return nil
		}
	}
	d := start(t, func(five words) {
		v := batch.CountByValue(five, "v")
		desc := func(a, b batch.Row[string, int64]) int { return cmp.Compare(b.Key, a.Key) }
		v.SortBy(desc).ForEach(note("sorted"))
		v.ForEach(note("all"))
		v.Top(2).ForEach(note("top"))
		v.SortBy(desc).Named("desc").Take(2).ForEach(note("first"))
		v.Take(3).ForEach(note("take"))
		v.Top(3).Named("top3").SortBy(desc).Take(2).ForEach(note("of the top"))
		v.SortBy(desc).Named("last").Filter(func(r batch.Row[string, int64]) bool { return r.Value == 1 }).Top(1).ForEach(note("chain"))
		batch.CountByValue(five.Filter(func(s string) bool { return s > "b" }), "late").ForEach(note("late"))
	})
	d.send("d", "b", "b", "c", "a", "c")
	d.Advance(5 * time.Second)
	want := []string{
		"sorted[{d 1} {c 2} {b 2} {a 1}]",
		"all[{a 1} {b 2} {c 2} {d 1}]",
		"top[{b 2} {c 2}]",
		"first[{d 1} {c 2}]",
		"take[{a 1} {b 2} {c 2}]",
		"of the top[{c 2} {b 2}]",
		"chain[{d 1}]",
		"late[{c 2} {d 1}]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTransform: the rows that Transform returns can be sorted, printed and sent.
func TestTransform(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := start(t, func(five words) {
		share := func(b batch.Batch, rows []batch.Row[string, int64]) (out []batch.Row[string, float64]) {
			sum := 0.0
			for _, r := range rows {
				sum += float64(r.Value)
			}
			for _, r := range rows {
				out = append(out, batch.Row[string, float64]{Key: r.Key + "!", Value: float64(r.Value) / sum})
			}
			return out
		}
		s := batch.Transform(batch.CountByValue(five, "v"), share, serde.String, serde.Float64)
		s.Top(2).Print(&out)
		s.To("shares")
	})
	d.send("a", "b", "b", "b")
	d.Advance(5 * time.Second)
	if !strings.Contains(out.String(), "(b!,0.75)\n(a!,0.25)\n") {
		t.Error(out.String())
	}
	got := topologytest.Output(d.Driver, "shares", serde.String, serde.Float64).Records()
	if len(got) != 2 || got[0].Key != "a!" || got[1].Value != 0.75 {
		t.Errorf("topic shares: %v", got)
	}
}

// TestChangesInPlace: functions may change their first argument. No stored value shares
// memory with it.
func TestChangesInPlace(t *testing.T) {
	t.Parallel()
	type set = map[string]int
	var got []string
	d := start(t, func(five words) {
		add := func(s set, w string) set { s[w]++; return s }
		merge := func(a, b set) set {
			for w, n := range b {
				a[w] += n
			}
			return a
		}
		first := func(r processor.Record[string, string]) processor.Record[string, string] {
			return processor.WithKey(r, r.Value[:1])
		}
		newSet := func() set { return set{} }
		sets := batch.AggregateByKey(batch.Map(five, first, serde.String, serde.String), "sets", newSet, add, merge, serde.JSON[set]())
		sets.Window(20 * time.Second).To("sets")
		sets.To("sets").Named("own")
		sets.Window(10 * time.Second).ForEach(func(_ batch.Batch, rows []batch.Row[string, set]) error {
			got = append(got, fmt.Sprint(rows))
			return nil
		})
	})
	d.send("ab", "ac", "b")
	d.Advance(5 * time.Second)
	d.send("ab", "ad")
	d.Advance(5 * time.Second)
	d.send("ac")
	d.Advance(5 * time.Second)
	d.Advance(10 * time.Second)
	want := []string{
		"[{a map[ab:1 ac:1]} {b map[b:1]}]", "[{a map[ab:2 ac:1 ad:1]} {b map[b:1]}]", "[{a map[ab:1 ac:1 ad:1]}]", "[{a map[ac:1]}]", "[]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var sent []string
	for _, r := range d.Topic("sets") {
		sent = append(sent, fmt.Sprintf("%d %s %s", (r.Timestamp-1_000_000_000)/1000, r.Key, r.Value))
	}
	slices.Sort(sent)
	all := []string{
		`10 a {"ab":1,"ad":1}`, `10 a {"ab":2,"ac":1,"ad":1}`, `10 b {"b":1}`,
		`15 a {"ab":2,"ac":2,"ad":1}`, `15 a {"ac":1}`, `15 b {"b":1}`,
		`20 a {"ab":2,"ac":2,"ad":1}`, `20 b {"b":1}`,
		`25 a {"ab":1,"ac":1,"ad":1}`,
		`5 a {"ab":1,"ac":1}`, `5 a {"ab":1,"ac":1}`, `5 b {"b":1}`, `5 b {"b":1}`,
	}
	if !slices.Equal(sent, all) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(sent, "\n"), strings.Join(all, "\n"))
	}
}

// TestSkip: under a policy that skips, a record whose function fails is in no result, and
// a row whose function fails is left out.
func TestSkip(t *testing.T) {
	t.Parallel()
	var bad, all string
	d := start(t, func(five words) {
		note := func(to *string) func(batch.Batch, []batch.Row[string, int64]) error {
			return func(_ batch.Batch, rows []batch.Row[string, int64]) error {
				*to += fmt.Sprint(rows)
				return nil
			}
		}
		v := batch.CountByValue(five, "v")
		v.ForEach(note(&all))
		v.Filter(func(r batch.Row[string, int64]) bool {
			if r.Key == "b" {
				panic("a row")
			}
			return true
		}).ForEach(note(&bad))
		batch.CountByValue(batch.MapValues(five, func(s string) string {
			if s == "x" {
				panic("a record")
			}
			return s
		}, serde.String), "w").To("w")
	}, topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	d.send("a", "x", "b", "c")
	d.Advance(5 * time.Second)
	d.Advance(10 * time.Millisecond)
	if all != "[{a 1} {c 1}]" && all != "[{a 1} {b 1} {c 1}]" || bad != "[{a 1} {c 1}]" {
		t.Errorf("all %s, bad %s", all, bad)
	}
	if strings.Contains(all, "x") {
		t.Errorf("a record that failed was counted: %s", all)
	}
}

// TestRetry: a record that is retried is counted once.
func TestRetry(t *testing.T) {
	t.Parallel()
	fails := 2
	var counts string
	d := start(t, func(five words) {
		batch.CountByValue(five, "v").ForEach(func(_ batch.Batch, rows []batch.Row[string, int64]) error {
			counts += fmt.Sprint(rows)
			return nil
		})
		batch.ReduceByKey(five, "sum", func(a, b string) string {
			if fails > 0 {
				fails--
				panic("again")
			}
			return a + b
		}).To("sum")
		five.Count("n").To("n")
	}, topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Retry}))
	for range 2 {
		d.in.SendTo(0, processor.NewRecord("k", "a", processor.TimestampOf(d.Now())))
	}
	d.Advance(5 * time.Second)
	got := topologytest.Output(d.Driver, "sum", serde.String, serde.String).Records()
	if fails != 0 || counts != "[{a 2}]" || len(got) != 1 || got[0].Value != "aa" {
		t.Errorf("counts %s, sum %v", counts, got)
	}
}

// TestDrops: a record without a value or key to count is dropped, but it still belongs to
// its batch.
func TestDrops(t *testing.T) {
	t.Parallel()
	var n int64
	d := start(t, func(five words) {
		five.Count("n").ForEach(func(_ batch.Batch, rows []batch.Row[batch.Total, int64]) error {
			n += rows[0].Value
			return nil
		})
		batch.CountByValue(five, "v").To("v")
		batch.ReduceByKey(five, "k", func(a, b string) string { return a + b }).To("k")
	})
	at := processor.TimestampOf(d.Now())
	d.in.SendRecord(processor.Record[string, string]{Key: "k", NoValue: true, Timestamp: at})
	d.in.SendRecord(processor.Record[string, string]{NoKey: true, Value: "v", Timestamp: at})
	d.Advance(5 * time.Second)
	if n != 2 || len(d.Topic("v")) != 1 || len(d.Topic("k")) != 0 || d.Dropped() != 3 {
		t.Errorf("count %d, by value %d, by key %d, dropped %v", n, len(d.Topic("v")), len(d.Topic("k")), d.DropReasons())
	}
}

// TestSeveral: several Every, with the same interval and with others, share the gather
// task.
func TestSeveral(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	other := topology.Source(b, "other", serde.String, serde.String)
	var out bytes.Buffer
	batch.Every(in.Merge(other), "both", 5*time.Second).Count("n-both").Print(&out)
	batch.Every(in, "one", 5*time.Second).Count("n-one").Print(&out)
	batch.Every(in, "slow", 10*time.Second).Count("n-slow").Print(&out)
	d := topologytest.New(t, build(t, b), topologytest.Start(time.UnixMilli(1_000_000_000)))
	topologytest.Input(d, "in", serde.String, serde.String).Send("a", "a", d.Now())
	topologytest.Input(d, "other", serde.String, serde.String).Send("a", "a", d.Now())
	d.Advance(10 * time.Second)
	var got []string
	for _, line := range strings.Split(out.String(), "\n") {
		if line != "" && !strings.HasPrefix(line, "---") {
			got = append(got, line)
		}
	}
	want := "Time: 1970-01-12 13:46:45,2,Time: 1970-01-12 13:46:45,1,Time: 1970-01-12 13:46:50,0,Time: 1970-01-12 13:46:50,0,Time: 1970-01-12 13:46:50,1"
	if strings.Join(got, ",") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, ","), want)
	}
}

// TestPruned: tasks send only as many rows to the gather task as are needed.
func TestPruned(t *testing.T) {
	t.Parallel()
	d := start(t, func(five words) {
		v := batch.CountByValue(five, "v")
		v.Top(2).Print(io.Discard)
		v.Take(2).Print(io.Discard)
		v.Print(io.Discard, batch.Rows(1))
		v.SortBy(func(a, b batch.Row[string, int64]) int { return cmp.Compare(b.Key, a.Key) }).Print(io.Discard, batch.Rows(1))
	})
	for i := range 100 {
		d.send(fmt.Sprint(i))
	}
	d.Advance(5 * time.Second)
	const markers, rows = 2, 2 * 4 * 2 // each of the two tasks: four results of two rows
	if n := len(d.Topic("test-gather-repartition")); n != markers+rows {
		t.Errorf("%d records were gathered, want %d", n, markers+rows)
	}
}

// TestJavaOrder: batches also run in the test driver's other order. The clock then moves
// in one step. Such a step is a jump, and not a late boundary.
func TestJavaOrder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := start(t, func(five words) { five.Count("n").Print(&out) }, topologytest.JavaOrder())
	d.in.Send("a", "a", d.Now())
	d.Advance(5 * time.Second)
	d.Advance(time.Hour)
	if got := strings.Count(out.String(), "Time: "); got != 2 {
		t.Errorf("%d batches were printed, want that of the record and the one of the jump:\n%s", got, &out)
	}
}

// TestMemoryCommitsEarly: the partial results of very many values are sent before the
// commit is due.
func TestMemoryCommitsEarly(t *testing.T) {
	t.Parallel()
	d := start(t, func(five words) { batch.CountByValue(five, "v").To("v") }, topologytest.CommitInterval(time.Hour))
	const partials, values = "test-five-repartition", 100_000
	n := 0
	for ; n < values && len(d.Topic(partials)) == 0; n++ {
		d.in.SendTo(0, processor.NewRecord("", strconv.Itoa(n), processor.TimestampOf(d.Now())))
	}
	if n < 1000 || n == values {
		t.Errorf("the first partial results were sent after %d values", n)
	}
}
