package topologytest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// onlyDecoded is a serde of texts that decodes every text, and encodes those without "!".
type onlyDecoded struct{}

func (onlyDecoded) Append(dst []byte, v string) ([]byte, error) {
	if strings.Contains(v, "!") {
		return dst, errors.New("it has an exclamation mark")
	}
	return append(dst, v...), nil
}

func (onlyDecoded) Decode(data []byte) (string, error) { return string(data), nil }

// TestKeysWithoutEncoding: if the key of a record cannot be encoded, an aggregation gives
// the error to the policy.
func TestKeysWithoutEncoding(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]func(topology.Grouped[string, string]){
		"count":    func(g topology.Grouped[string, string]) { g.Count("n") },
		"tumbling": func(g topology.Grouped[string, string]) { g.Window(topology.Tumbling(time.Second)).Count("n") },
		"sliding":  func(g topology.Grouped[string, string]) { g.Window(topology.Sliding(time.Second)).Count("n") },
		"sessions": func(g topology.Grouped[string, string]) { g.Sessions(time.Second).Count("n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			count(topology.GroupByKey(topology.Source(b, "in", serde.Serde[string](onlyDecoded{}), serde.String), "by"))
			d := topologytest.New(t, build(t, b))
			d.Send("in", 0, []byte("good"), []byte("v"), 1)
			err := d.Try(func() { d.Send("in", 0, []byte("bad!"), []byte("v"), 2) })
			if err == nil || !strings.Contains(err.Error(), "it has an exclamation mark") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestPanickingAggregator: the error policy gets a panic as an error, and the row stays.
func TestPanickingAggregator(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Aggregate(topology.GroupByKey(in, "by"), "texts", func() string { return "" }, func(last string, r processor.Record[string, string]) string {
		if r.Value == "bad" {
			panic("bad")
		}
		return last + r.Value
	}, serde.String).Stream().To("out")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	for i, value := range []string{"a", "bad", "b"} {
		d.Send("in", 0, []byte("k"), []byte(value), processor.Timestamp(i))
	}
	d.Commit()
	if out := d.Topic("out"); d.Dropped() != 1 || len(out) == 0 || string(out[len(out)-1].Value) != "ab" {
		t.Errorf("%d records dropped, out has %v", d.Dropped(), out)
	}
}

// TestFailingSlidingAggregator: an aggregator that fails is not asked for the other
// windows of the record.
func TestFailingSlidingAggregator(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	calls := 0
	windows := topology.GroupByKey(in, "by").Window(topology.Sliding(time.Second))
	topology.AggregateWindows(windows, "texts", func() string { return "" }, func(last string, r processor.Record[string, string]) string {
		if r.Value == "bad" {
			calls++
			panic("bad")
		}
		return last + r.Value
	}, serde.String)
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	for i, value := range []string{"a", "b", "c", "bad"} {
		d.Send("in", 0, []byte("k"), []byte(value), processor.Timestamp(10*i))
	}
	d.Commit()
	if calls != 1 || d.Dropped() != 1 {
		t.Errorf("the aggregator was asked %d times, and %d records were dropped", calls, d.Dropped())
	}
}

// TestFailingMerger: sessions whose merger fails stay as they are, also if it has changed
// its first argument.
func TestFailingMerger(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	join := func(last []byte, r processor.Record[string, string]) []byte { return append(last, r.Value...) }
	merge := func(a, _ []byte) []byte {
		a[0] = 'X'
		panic("bad")
	}
	sessions := topology.AggregateSessions(topology.GroupByKey(in, "by").Sessions(10*time.Millisecond).Grace(time.Second), "texts", func() []byte { return []byte{} }, join, merge, serde.Bytes)
	sessions.Stream().To("out")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	send := func(value string, at processor.Timestamp) {
		d.Send("in", 0, []byte("k"), []byte(value), at)
		d.Commit()
	}
	send("a", 0)
	send("b", 20)
	before := len(d.Topic("out"))
	send("between", 10)
	if n := len(d.Topic("out")); n != before || d.Dropped() != 1 {
		t.Errorf("%d results and %d dropped records, want %d and 1", n, d.Dropped(), before)
	}
	send("c", 1) // continues the first session, which is as it was
	if out := d.Topic("out"); string(out[len(out)-1].Value) != "ac" {
		t.Errorf("out has %v", out)
	}
}
