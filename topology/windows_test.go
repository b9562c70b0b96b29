package topology

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// windowText is a readable serde of windowed keys: key/start/end.
type windowText struct{}

func (windowText) Append(dst []byte, k serde.Windowed[string]) ([]byte, error) {
	return fmt.Appendf(dst, "%s/%d/%d", k.Key, k.Start, k.End), nil
}

func (windowText) Decode([]byte) (serde.Windowed[string], error) {
	return serde.Windowed[string]{}, fmt.Errorf("not meant to be read")
}

// show sends the updates of a windowed table to a topic, as text.
func show[V any](t WindowedTable[string, V], topic string, vs serde.Serde[V]) {
	s := t.Stream()
	s.keys, s.values = windowText{}, vs
	s.To(topic)
}

// countedWindows is Windowed.Count with readable output.
func countedWindows[K, V any](w Windowed[K, V], name string, opts ...WindowedTableOption) WindowedTable[K, int64] {
	return AggregateWindows(w, name, func() int64 { return 0 }, func(n int64, _ processor.Record[K, V]) int64 { return n + 1 }, text[int64]{}, opts...)
}

// TestWindows sends records through one windowed aggregation, forwarding every update.
func TestWindows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		build func(g Grouped[string, string])
		in    []string
		out   []string
		drops []string
	}{
		"tumbling": {
			func(g Grouped[string, string]) {
				show(countedWindows(g.Window(Tumbling(ms(10))), "t"), "out", text[int64]{})
			},
			[]string{"a:x@0", "a:x@9", "b:x@9", "a:x@10", "a:x@8", "a:-@11"},
			[]string{"out a/0/10:1@0", "out a/0/10:2@9", "out b/0/10:1@9", "out a/10/20:1@10", "out a/10/20:2@11"},
			[]string{"t: late record"},
		},
		"grace": {
			func(g Grouped[string, string]) {
				show(countedWindows(g.Window(Tumbling(ms(10)).Grace(ms(5))), "t"), "out", text[int64]{})
			},
			[]string{"a:x@3", "a:x@14", "a:x@4", "b:x@15", "a:x@9"},
			[]string{"out a/0/10:1@3", "out a/10/20:1@14", "out a/0/10:2@4", "out b/10/20:1@15"},
			[]string{"t: late record"},
		},
		"hopping": {
			func(g Grouped[string, string]) {
				show(countedWindows(g.Window(Hopping(ms(10), ms(4))), "t"), "out", text[int64]{})
			},
			[]string{"a:x@3", "a:x@8", "a:x@19", "a:x@10", "a:x@9"},
			[]string{
				"out a/0/10:1@3",
				"out a/0/10:2@8", "out a/4/14:1@8", "out a/8/18:1@8",
				"out a/12/22:1@19", "out a/16/26:1@19",
			},
			slices.Repeat([]string{"t: late record"}, 5),
		},
		"late for one window": {
			func(g Grouped[string, string]) {
				show(countedWindows(g.Window(Hopping(ms(10), ms(5))), "t"), "out", text[int64]{})
			},
			[]string{"a:x@12", "a:x@9"},
			[]string{"out a/5/15:1@12", "out a/10/20:1@12", "out a/5/15:2@12"},
			[]string{"t: late record"},
		},
		"unlimited": {
			func(g Grouped[string, string]) {
				show(countedWindows(g.Window(Unlimited(time.UnixMilli(5))), "t"), "out", text[int64]{})
			},
			[]string{"a:x@4", "a:x@5", "a:x@1000000000000", "a:x@6"},
			[]string{"out a/5/9223372036854775807:1@5", "out a/5/9223372036854775807:2@1000000000000", "out a/5/9223372036854775807:3@1000000000000"},
			nil,
		},
		"null keys": {
			func(g Grouped[string, string]) {
				show(countedWindows(g.Window(Tumbling(ms(10))), "t"), "out", text[int64]{})
			},
			[]string{"-:x@50", "a:x@1"},
			[]string{"out a/0/10:1@1"},
			[]string{"t: null key"},
		},
		"reduce": {
			func(g Grouped[string, string]) {
				show(g.Window(Tumbling(ms(10))).Reduce("t", concat), "out", serde.String)
			},
			[]string{"a:x@5", "a:-@6", "a:y@3"},
			[]string{"out a/0/10:x@5", "out a/0/10:xy@5"},
			[]string{"t: null value"},
		},
		"tryReduce": {
			func(g Grouped[string, string]) {
				show(g.Window(Tumbling(ms(10))).TryReduce("t", func(a, b string) (string, error) {
					return a + b, errIf(b == "bad")
				}), "out", serde.String)
			},
			[]string{"a:x@5", "a:bad@6", "a:y@3"},
			[]string{"out a/0/10:x@5", "out a/0/10:xy@5"},
			nil,
		},
		"tryAggregate": {
			func(g Grouped[string, string]) {
				show(TryAggregateWindows(g.Window(Tumbling(ms(10))), "t", func() string { return ">" }, func(agg string, r rec) (string, error) {
					return agg + r.Value, errIf(r.Value == "bad")
				}, serde.String), "out", serde.String)
			},
			[]string{"a:x@5", "a:bad@6", "a:y@3"},
			[]string{"out a/0/10:>x@5", "out a/0/10:>xy@5"},
			nil,
		},
		"absent aggregate deletes": {
			func(g Grouped[string, string]) {
				show(AggregateWindows(g.Window(Tumbling(ms(10))), "t", emptyString, appendUnless("x"), serde.Nullable(serde.String)), "out", serde.Nullable(serde.String))
			},
			[]string{"k:a@9", "k:x@3", "k:b@1", "k:c@11"},
			[]string{"out k/0/10:a@9", "out k/0/10:-@9", "out k/0/10:b@1", "out k/10/20:c@11"},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			test.build(GroupByKey(Source(b, "in", serde.String, serde.String), "by-key"))
			f := run(t, b, graphtest.WithPolicy(processor.Skip), graphtest.WithEveryUpdate())
			f.Feed("in", test.in...)
			f.Expect(test.out...)
			f.ExpectDrops(test.drops...)
		})
	}
}

func errIf(bad bool) error {
	if bad {
		return fmt.Errorf("bad")
	}
	return nil
}

// TestMergedWindows forwards one update of each window for each commit.
func TestMergedWindows(t *testing.T) {
	t.Parallel()
	b := New()
	g := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Window(Hopping(ms(10), ms(5)).Grace(ms(20)))
	show(countedWindows(g, "n"), "out", text[int64]{})
	show(AggregateWindows(g, "d", emptyString, appendUnless("x"), serde.Nullable(serde.String)), "deleting", serde.Nullable(serde.String))
	f := run(t, b)
	f.Feed("in", "a:1@7", "b:1@6", "a:1@3", "c:1@1", "c:x@2")
	f.Expect()
	f.Commit()
	f.Expect("out a/0/10:2@7", "out a/5/15:1@7", "out b/0/10:1@6", "out b/5/15:1@6", "out c/0/10:2@2",
		"deleting a/0/10:11@7", "deleting a/5/15:1@7", "deleting b/0/10:1@6", "deleting b/5/15:1@6")
	f.Commit()
	f.Expect()
	f.Feed("in", "a:x@3")
	f.Commit()
	// As in Kafka Streams, a deletion that was held back has the timestamp of the
	// deleting record.
	f.Expect("out a/0/10:3@7", "deleting a/0/10:-@3")
}

// TestWindowedKeys sends windowed keys in Kafka's format, to the partition of the inner
// key.
func TestWindowedKeys(t *testing.T) {
	t.Parallel()
	b := New()
	GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Window(Tumbling(ms(10))).Count("n").Stream().To("out")
	f := run(t, b, graphtest.WithPartitions(7))
	f.Feed("in", "key:x@25")
	f.Commit()
	if len(f.Sent) != 1 {
		t.Fatalf("sent %v", f.Sent)
	}
	out := f.Sent[0]
	if want := "key\x00\x00\x00\x00\x00\x00\x00\x14"; string(out.Key) != want {
		t.Errorf("key %q, want %q", out.Key, want)
	}
	if want := serde.Partition([]byte("key"), 7); out.Partition != want {
		t.Errorf("partition %d, want %d", out.Partition, want)
	}
}

// TestStreamTimeIsKept judges lateness by the restored operator time.
func TestStreamTimeIsKept(t *testing.T) {
	t.Parallel()
	b := New()
	countedWindows(GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Window(Tumbling(ms(10))), "n")
	f := run(t, b)
	*f.Time("n") = 100
	f.Feed("in", "a:x@50")
	f.ExpectDrops("n: late record")
	f.Feed("in", "a:x@101")
	if at := *f.Time("n"); at != 101 {
		t.Errorf("operator time %d", at)
	}
}

// TestWindowsAgainstModel compares random input with a model that tries every window.
func TestWindowsAgainstModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
		testAgainstModel(t, rand.New(rand.NewPCG(seed, 1)))
	})
}

func testAgainstModel(t *testing.T, r *rand.Rand) {
	size := 1 + r.Int64N(30)
	w := Hopping(ms(size), ms(1+r.Int64N(size))).Grace(ms(r.Int64N(40)))
	if r.IntN(3) == 0 {
		w = Tumbling(ms(size)).Grace(ms(r.Int64N(40)))
	}
	m := &windowModel{size: w.size.Milliseconds(), advance: w.advance.Milliseconds(), grace: w.grace.Milliseconds(), streamTime: -1, rows: map[string]modelRow{}}
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	show(AggregateWindows(GroupByKey(s, "by-key").Window(w), "t", func() string { return "" },
		func(agg string, r rec) string { return agg + r.Value }, serde.String), "out", serde.String)
	opts := []graphtest.Option{graphtest.WithEveryUpdate()}
	if m.merged = r.IntN(2) == 0; m.merged {
		opts = nil
	}
	f := run(t, b, opts...)
	for range 120 {
		ts := max(0, m.streamTime+r.Int64N(30)-15)
		key := string(rune('a' + r.IntN(3)))
		value := string(rune('0' + r.IntN(10)))
		f.Feed("in", fmt.Sprintf("%s:%s@%d", key, value, ts))
		m.add(key, value, ts)
		if r.IntN(4) == 0 {
			f.Commit()
			m.commit()
		}
	}
	f.Commit()
	m.commit()
	f.Expect(m.out...)
	if len(f.Drops) != m.late {
		t.Errorf("%v: %d dropped, want %d", w, len(f.Drops), m.late)
	}
}

// windowModel is a windowed concatenation that tries every window.
type windowModel struct {
	size, advance, grace, streamTime int64
	merged                           bool
	rows                             map[string]modelRow
	dirty                            []string
	out                              []string
	late                             int
}

type modelRow struct {
	value string
	at    int64
}

func (m *windowModel) add(key, value string, ts int64) {
	m.streamTime = max(m.streamTime, ts)
	for start := int64(0); start <= ts; start += m.advance {
		end := start + m.size
		if ts >= end {
			continue
		}
		if end <= m.streamTime-m.grace {
			m.late++
			continue
		}
		id := fmt.Sprintf("%s/%d/%d", key, start, end)
		row := m.rows[id]
		row.value += value
		row.at = max(row.at, ts)
		m.rows[id] = row
		if m.merged {
			if !slices.Contains(m.dirty, id) {
				m.dirty = append(m.dirty, id)
			}
			continue
		}
		m.emit(id)
	}
}

func (m *windowModel) emit(id string) {
	row := m.rows[id]
	m.out = append(m.out, fmt.Sprintf("out %s:%s@%d", id, row.value, row.at))
}

func (m *windowModel) commit() {
	for _, id := range m.dirty {
		m.emit(id)
	}
	m.dirty = nil
}

func TestWindowsString(t *testing.T) {
	t.Parallel()
	for want, w := range map[string]Windows{
		"tumbling 1m0s":                       Tumbling(time.Minute),
		"hopping 1m0s every 5s":               Hopping(time.Minute, 5*time.Second),
		"unlimited from 1970-01-01T00:00:01Z": Unlimited(time.Unix(1, 0)),
		"no windows":                          {},
	} {
		if got := w.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if s := strings.Join(Unlimited(time.Unix(-1, 0)).Grace(1).problems(), "; "); !strings.Contains(s, "before 1970") || !strings.Contains(s, "no grace") {
		t.Errorf("problems %q", s)
	}
}

// TestMergedSessions: the merger gets the earlier session first. A session that the
// aggregator has deleted is not continued.
func TestMergedSessions(t *testing.T) {
	t.Parallel()
	b := New()
	sessions := GroupByKey(Source(b, "in", serde.String, serde.String), "by").Sessions(ms(10))
	join := func(a, b *string) *string { text := *a + *b; return &text }
	texts := serde.Nullable(serde.String)
	show(AggregateSessions(sessions, "sessions", emptyString, appendUnless("x"), join, texts), "out", texts)
	f := run(t, b)
	f.Feed("in", "k:a@0", "k:c@20", "k:b@10")
	f.Commit()
	f.Expect("out k/0/20:acb@20")
	f.Feed("in", "k:x@25", "k:d@30")
	f.Commit()
	f.Expect("out k/0/20:-@20", "out k/30/30:d@30")
}
