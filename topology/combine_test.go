package topology

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// combineTest is a task that counts values through a repartition topic.
type combineTest struct {
	*graphtest.Task
	t       *testing.T
	counted graph.SourceNode // of the repartition topic
}

const repartitionTopic = "app-by-repartition"

func newCombineTest(t *testing.T, build func(g Grouped[string, string]), opts ...graphtest.Option) *combineTest {
	b := New()
	build(GroupBy(Source(b, "in", serde.String, serde.String), "by", func(v string) string { return v }, serde.String))
	f := &combineTest{Task: run(t, b, opts...), t: t}
	f.counted = f.Sources[repartitionTopic]
	delete(f.Sources, repartitionTopic) // what is sent stays in Sent
	return f
}

// sent returns what was sent to the repartition topic since the last call.
func (f *combineTest) sent() string {
	var texts []string
	for _, out := range f.Sent {
		text := fmt.Sprintf("%s:%q@%d", out.Key, out.Value, out.Timestamp)
		for _, h := range out.Headers {
			text += " " + h.String()
		}
		texts = append(texts, text)
	}
	f.Sent = nil
	return strings.Join(texts, ", ")
}

func (f *combineTest) expectSent(want string) {
	f.t.Helper()
	if got := f.sent(); got != want {
		f.t.Errorf("sent\n\t%s\nwant\n\t%s", got, want)
	}
}

func countOnly(g Grouped[string, string]) { g.Count("n").Stream().To("out") }

// TestCombining shows what a task sends to the repartition topic of a count: one record
// for each key and commit, with the largest timestamp and the last headers.
func TestCombining(t *testing.T) {
	t.Parallel()
	f := newCombineTest(t, countOnly, graphtest.WithCombining())
	f.Feed("in", "1:a@5", "2:b@6", "3:a@9", "4:a@7")
	f.expectSent("")
	f.Commit()
	f.expectSent(`a:"\x00\x00\x00\x00\x00\x00\x00\x03"@9 millrace-partial="\x01", b:"\x00\x00\x00\x00\x00\x00\x00\x01"@6 millrace-partial="\x01"`)
	if f.Held != 0 {
		t.Errorf("%d bytes are held after the commit", f.Held)
	}
	f.Commit()
	f.expectSent("")
}

// TestCombiningCounts sends what tasks have combined, and what they have not, to the
// count.
func TestCombiningCounts(t *testing.T) {
	t.Parallel()
	b := New()
	GroupBy(Source(b, "in", serde.String, serde.String), "by", func(v string) string { return v }, serde.String).Count("n").Stream().To("out")
	f := run(t, b, graphtest.WithCombining())
	f.Feed("in", "1:a@5", "2:b@6", "3:a@9", "4:-@4")
	f.Commit()
	f.Feed(repartitionTopic, "a:a@20")
	f.Feed("in", "5:a@7")
	f.Commit()
	var got []string
	for _, out := range f.Sent {
		n, err := serde.Int64.Decode(out.Value)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s=%d@%d %d headers", out.Key, n, out.Timestamp, len(out.Headers)))
	}
	if got, want := strings.Join(got, ", "), "a=2@9 0 headers, b=1@6 0 headers, a=4@20 0 headers"; got != want {
		t.Errorf("counts\n\t%s\nwant\n\t%s", got, want)
	}
}

// TestNotCombining lists where each record goes to the topic as it is.
func TestNotCombining(t *testing.T) {
	t.Parallel()
	some := func(r processor.Record[string, string], n int32) []int32 { return []int32{0} }
	for name, build := range map[string]func(g Grouped[string, string]){
		"every update":      func(g Grouped[string, string]) { g.Count("n", EveryUpdate()) },
		"versions":          func(g Grouped[string, string]) { g.Count("n", Versioned(ms(5))) },
		"a time to live":    func(g Grouped[string, string]) { g.Count("n", TTL(ms(5))) },
		"two aggregations":  func(g Grouped[string, string]) { g.Count("n"); g.Reduce("last", concat) },
		"a reduction":       func(g Grouped[string, string]) { g.Reduce("last", concat) },
		"windows":           func(g Grouped[string, string]) { g.Window(Tumbling(ms(5))).Count("n") },
		"sessions":          func(g Grouped[string, string]) { g.Sessions(ms(5)).Count("n") },
		"a reduction, too":  func(g Grouped[string, string]) { g.Reduce("last", longer, Combine(longer)); g.Count("n") },
		"another and count": func(g Grouped[string, string]) { g.Count("n"); g.Window(Tumbling(ms(5))).Count("m") },
	} {
		f := newCombineTest(t, build, graphtest.WithCombining())
		f.Feed("in", "1:a@5", "2:a@6")
		if got := f.sent(); got != `a:"a"@5, a:"a"@6` {
			t.Errorf("%s: sent %s", name, got)
		}
	}

	b := New()
	s := Repartition(Source(b, "in", serde.String, serde.String), "by", Partitioner(some))
	GroupByKey(s, "g").Count("n")
	f := run(t, b, graphtest.WithCombining())
	delete(f.Sources, repartitionTopic)
	f.Feed("in", "a:a@5", "a:b@6")
	f.Expect(repartitionTopic+" a:a@5", repartitionTopic+" a:b@6")
}

func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

func bytesOf(n int64, r processor.Record[string, string]) int64 { return n + int64(len(r.Value)) }

func zero() int64 { return 0 }

func add(a, b int64) int64 { return a + b }

// TestCombine shows what a task sends to the repartition topic of a Reduce and of an
// Aggregate with Combine.
func TestCombine(t *testing.T) {
	t.Parallel()
	f := newCombineTest(t, func(g Grouped[string, string]) { g.Reduce("longest", longer, Combine(longer)) }, graphtest.WithCombining())
	f.Feed("in", "1:a@5", "2:b@6", "3:a@9")
	f.expectSent("")
	f.Commit()
	f.expectSent(`a:"a"@9 millrace-partial="\x01", b:"b"@6 millrace-partial="\x01"`)

	f = newCombineTest(t, func(g Grouped[string, string]) { Aggregate(g, "bytes", zero, bytesOf, serde.Int64, Combine(add)) }, graphtest.WithCombining())
	f.Feed("in", "1:ab@5", "2:b@6", "3:ab@9")
	f.Commit()
	f.expectSent(`ab:"\x00\x00\x00\x00\x00\x00\x00\x04"@9 millrace-partial="\x01", b:"\x00\x00\x00\x00\x00\x00\x00\x01"@6 millrace-partial="\x01"`)
}

// TestCombineFails: functions that must not fail, and fail, end the application. The
// error policy is not asked, because it would decide about one record of several.
func TestCombineFails(t *testing.T) {
	t.Parallel()
	panicking := func(a, b string) string { panic("cannot " + a) }
	for name, topic := range map[string]string{"in front of the topic": "in", "behind the topic": repartitionTopic} {
		b := New()
		GroupBy(Source(b, "in", serde.String, serde.String), "by", func(v string) string { return v }, serde.String).Reduce("r", panicking, Combine(panicking))
		f := run(t, b, graphtest.WithCombining())
		if topic == repartitionTopic {
			f.Feed(topic, "a:a@4") // the row
		}
		part := graphtest.Parse("a:a@5")
		if part.Topic = topic; topic == repartitionTopic {
			part.Headers = processor.Headers{{Key: "millrace-partial", Value: []byte{1}}}
		} else if err := f.Process(part); err != nil {
			t.Fatal(err)
		}
		err := f.Process(part)
		if !graph.IsFinal(err) || !strings.Contains(err.Error(), "cannot a") || !strings.Contains(err.Error(), "remove the option Combine") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestCombineIsRefused(t *testing.T) {
	t.Parallel()
	try := func(a, b string) (string, error) { return a, nil }
	for want, build := range map[string]func(g Grouped[string, string]){
		"has Combine and EveryUpdate":        func(g Grouped[string, string]) { g.Reduce("r", longer, Combine(longer), EveryUpdate()) },
		"has Combine, but combined records":  func(g Grouped[string, string]) { g.Reduce("r", longer, Combine(longer), TTL(ms(5))) },
		"have one timestamp":                 func(g Grouped[string, string]) { g.Reduce("r", longer, Combine(longer), Versioned(ms(5))) },
		"the function of Combine is nil":     func(g Grouped[string, string]) { g.Reduce("r", longer, Combine[string](nil)) },
		"is a func(int64, int64) int64, but": func(g Grouped[string, string]) { g.Reduce("r", longer, Combine(add)) },
		"its values may be absent": func(g Grouped[string, string]) {
			none := func() *string { return nil }
			fold := func(a *string, _ processor.Record[string, string]) *string { return a }
			Aggregate(g, "r", none, fold, serde.Nullable(serde.String), Combine(func(a, _ *string) *string { return a }))
		},
		`count "r": Combine has no effect`:  func(g Grouped[string, string]) { g.Count("r", Combine(add)) },
		`reduce "r": Combine has no effect`: func(g Grouped[string, string]) { g.TryReduce("r", try, Combine(longer)) },
		`stored "r": Combine has no effect`: func(g Grouped[string, string]) { g.Count("n").Stored("r", Combine(add)) },
		`suppress "r": Combine has no effect`: func(g Grouped[string, string]) {
			g.Count("n").Suppress("r", UntilTimeLimit(ms(5)), Combine(add))
		},
		`joinForeign "r": Combine has no effect`: func(g Grouped[string, string]) {
			n := g.Reduce("n", longer)
			JoinForeign(n, n, "r", func(v string) (string, bool) { return v, true }, longer, serde.String, Combine(longer))
		},
		`reduce "r": Combine`: func(g Grouped[string, string]) {
			table := g.Reduce("n", longer)
			GroupTable(table, "g", func(v string) string { return v }, serde.String).Reduce("r", longer, longer, Combine(longer))
		},
	} {
		b := New()
		build(GroupBy(Source(b, "in", serde.String, serde.String), "by", func(v string) string { return v }, serde.String))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", want, err)
		}
	}
}

// TestCombiningLargeKeys sends large records as they are, since the topic may refuse a
// larger one.
func TestCombiningLargeKeys(t *testing.T) {
	t.Parallel()
	f := newCombineTest(t, countOnly, graphtest.WithCombining())
	f.Feed("in", "1:"+strings.Repeat("x", 5000)+"@5")
	if len(f.Sent) != 1 {
		t.Errorf("%d records were sent before the commit", len(f.Sent))
	}
}

// TestCombiningPauses sends records as they are after a transaction in which hardly any
// two had the same key.
func TestCombiningPauses(t *testing.T) {
	t.Parallel()
	f := newCombineTest(t, countOnly, graphtest.WithCombining())
	f.Discard = true
	for i := range 1000 {
		f.Feed("in", fmt.Sprintf("1:%d@5", i))
	}
	f.Commit()
	f.Discard = false
	for i := range 20 {
		f.Feed("in", "1:a@5", "1:a@6")
		f.Commit()
		combined := len(f.Sent) == 1
		if f.sent(); combined != (i >= 16) {
			t.Errorf("transaction %d: combined is %v", i, combined)
		}
	}
}

// TestForgedPartial sends records whose headers pretend that they are partial results.
func TestForgedPartial(t *testing.T) {
	t.Parallel()
	mark := processor.Header{Key: "millrace-partial", Value: []byte{1}}
	user := processor.Header{Key: "user", Value: []byte("u")}
	for _, opts := range [][]graphtest.Option{nil, {graphtest.WithCombining()}} {
		f := newCombineTest(t, countOnly, opts...)
		for _, headers := range []processor.Headers{{mark, mark}, {user, mark}, {mark, user}} {
			in := graphtest.Parse("1:a@5")
			in.Topic, in.Headers = "in", headers
			if err := f.Process(in); err != nil {
				t.Fatal(err)
			}
		}
		f.Commit()
		if opts == nil {
			f.expectSent(`a:"a"@5, a:"a"@5 user="u", a:"a"@5 millrace-partial="\x01" user="u"`)
			continue
		}
		f.expectSent(`a:"\x00\x00\x00\x00\x00\x00\x00\x03"@5 millrace-partial="\x01" user="u" millrace-partial="\x01"`)
	}
}

// TestStrangePartials sends partial results that the reader cannot take in.
func TestStrangePartials(t *testing.T) {
	t.Parallel()
	three := []byte{0, 0, 0, 0, 0, 0, 0, 3}
	one := processor.Headers{{Key: "millrace-partial", Value: []byte{1}}}
	reduced := func(g Grouped[string, string]) {
		g.TryReduce("last", func(a, b string) (string, error) { return a + b, nil })
	}
	alsoWindows := func(g Grouped[string, string]) {
		g.Count("n")
		g.Window(Tumbling(ms(5))).Count("m")
	}
	for name, c := range map[string]struct {
		build       func(g Grouped[string, string])
		in          graph.Input
		fails, drop string
	}{
		"later format": {countOnly, graph.Input{Key: []byte("a"), Value: three, Headers: processor.Headers{{Key: "millrace-partial", Value: []byte{2}}}}, "later version", ""},
		"no value":     {countOnly, graph.Input{Key: []byte("a"), Headers: one}, "no key or no value", ""},
		"short value":  {countOnly, graph.Input{Key: []byte("a"), Value: three[:4], Headers: one}, "partial result", ""},
		"windows, too": {alsoWindows, graph.Input{Key: []byte("a"), Value: three, Headers: one}, "", "by-repartition-source: partial result"},
		"a reduction":  {reduced, graph.Input{Key: []byte("a"), Value: three, Headers: one}, "has sent it: give the aggregation the option", ""},
	} {
		f := newCombineTest(t, c.build, graphtest.WithCombining())
		c.in.Topic = repartitionTopic
		f.Current = &c.in
		err := f.counted.Receive(&c.in)
		switch {
		case c.fails == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: the error is %v", name, err)
		}
		if got := strings.Join(f.Drops, ","); got != c.drop {
			t.Errorf("%s: dropped %q, want %q", name, got, c.drop)
		}
	}
}

// TestPartialsAllocateNothing: a partial result costs its reader no allocation.
func TestPartialsAllocateNothing(t *testing.T) {
	b := New()
	GroupBy(Source(b, "in", serde.Int64, serde.Int64), "by", func(v int64) int64 { return v }, serde.Int64).Count("n")
	f := run(t, b, graphtest.WithCombining())
	three, _ := serde.Encode(serde.Int64, 3)
	in := graph.Input{Topic: repartitionTopic, Key: three, Value: three, Timestamp: 1, Headers: processor.Headers{{Key: "millrace-partial", Value: []byte{1}}}}
	f.Current = &in
	n := testing.AllocsPerRun(1000, func() {
		if err := f.Sources[repartitionTopic].Receive(&in); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per partial result", n)
	}
}

// BenchmarkCombining counts a thousand keys before they are sent, with a commit every ten
// thousand records.
func BenchmarkCombining(b *testing.B) {
	builder := New()
	GroupBy(Source(builder, "in", serde.Int64, serde.Int64), "by", func(v int64) int64 { return v }, serde.Int64).Count("n")
	f := run(b, builder, graphtest.WithCombining())
	f.Discard = true
	inputs := make([]graph.Input, 1000)
	for i := range inputs {
		data, _ := serde.Encode(serde.Int64, int64(i))
		inputs[i] = graph.Input{Topic: "in", Key: data, Value: data, Timestamp: 1}
	}
	source := f.Sources["in"]
	f.Current = &inputs[0]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := source.Receive(&inputs[i%len(inputs)]); err != nil {
			b.Fatal(err)
		}
		if i%10_000 == 0 {
			f.Commit()
		}
	}
}
