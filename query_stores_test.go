package millrace_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/windowstore"
)

// sorter keeps records by their value, so that a row is seldom in the partition of
// its key.
type sorter struct {
	rows    state.Spec[string, string]
	visits  windowstore.Spec[string, string]
	inRows  state.KeyValueStore[string, string]
	inVisit windowstore.Store[string, string]
}

func (p *sorter) Init(ctx processor.Context[string, string]) error {
	p.inRows, p.inVisit = state.Open(ctx, p.rows), windowstore.Open(ctx, p.visits)
	return nil
}

func (p *sorter) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	if err := p.inRows.Put(r.Value, r.Key); err != nil {
		return err
	}
	return p.inVisit.Put(r.Value, r.Key, r.Timestamp)
}

// twoStores runs a topology with the stores of sorter.
func twoStores(t *testing.T, c *cluster, p sorter) *running {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "keep", func() *sorter { return &sorter{rows: p.rows, visits: p.visits} }, serde.String, serde.String, p.rows, p.visits)
	return run(t, build(t, b), c.config("app", t.TempDir()))
}

// handWritten is a Queryable of a program that has no spec at hand.
type handWritten struct{ name string }

func (h handWritten) StoreName() string             { return h.name }
func (handWritten) KeySerde() serde.Serde[string]   { return serde.String }
func (handWritten) ValueSerde() serde.Serde[string] { return serde.String }

// list returns the rows of a loop as text, and its error.
func list[K, V any](rows iter.Seq2[millrace.Row[K, V], error]) (got []string, err error) {
	for row, err := range rows {
		if err != nil {
			return got, err
		}
		got = append(got, fmt.Sprintf("%v=%v@%d", row.Key, row.Value, row.Timestamp))
	}
	return got, nil
}

// The specs of processors' stores can be queried directly. A row is found in whatever
// partition a processor has put it. A Queryable that is written by hand finds the same
// rows as the spec.
func TestQueriesOfProcessorStores(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(4, "in"))
	p := sorter{
		rows:   state.KeyValue("rows", serde.String, serde.String),
		visits: windowstore.New("visits", serde.String, serde.String, time.Second, time.Hour),
	}
	app := twoStores(t, c, p)
	c.send("in", "k1=a", "k2=ab", "k3=b", "k4=ba", "k5=c") // at 1 s, 2 s, ...
	ctx := t.Context()
	for i, key := range []string{"a", "ab", "b", "ba", "c"} {
		var row millrace.Row[string, string]
		eventually(t, "the row is there", func() (ok bool) {
			row, ok, _ = millrace.GetRow(ctx, app.App, p.rows, key)
			return ok
		})
		if want := fmt.Sprint("k", i+1); row.Value != want || row.Timestamp != processor.Timestamp(i+1)*1000 {
			t.Errorf("row of %s: %+v", key, row)
		}
		if v, ok, err := millrace.Get(ctx, app.App, handWritten{"rows"}, key); !ok || err != nil || v != row.Value {
			t.Errorf("hand-written, %s: %v, %v, %v", key, v, ok, err)
		}
		at := serde.Windowed[string]{Key: key, Window: serde.Window{Start: int64(row.Timestamp)}}
		if v, ok, err := millrace.Get(ctx, app.App, p.visits, at); !ok || err != nil || v != row.Value {
			t.Errorf("window of %s: %v, %v, %v", key, v, ok, err)
		}
	}
	if _, ok, err := millrace.Get(ctx, app.App, p.rows, "none"); ok || err != nil {
		t.Errorf("a key that is in no partition: %v, %v", ok, err)
	}
	b, epoch, end := "b", time.Unix(0, 0), time.Unix(3, 0)
	for name, test := range map[string]struct {
		rows func() ([]string, error)
		want []string
	}{
		"prefix":  {func() ([]string, error) { return list(millrace.Prefix(ctx, app.App, p.rows, []byte("a"))) }, []string{"a=k1@1000", "ab=k2@2000"}},
		"range":   {func() ([]string, error) { return list(millrace.Range(ctx, app.App, p.rows, &b, &b)) }, []string{"b=k3@3000"}},
		"windows": {func() ([]string, error) { return list(millrace.Windows(ctx, app.App, p.visits, "b", epoch, end)) }, []string{"[b@3000/4000]=k3@3000"}},
		"all windows": {func() ([]string, error) {
			return list(millrace.AllWindows(ctx, app.App, p.visits, time.Unix(2, 0), end))
		}, []string{"[ab@2000/3000]=k2@2000", "[b@3000/4000]=k3@3000"}},
	} {
		got, err := test.rows()
		slices.Sort(got) // they may be in any partitions
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, test.want)
		}
	}
	forwards, err1 := list(millrace.Range(ctx, app.App, p.rows, nil, nil))
	backwards, err2 := list(millrace.Range(ctx, app.App, p.rows, nil, nil, millrace.Reverse(), millrace.Limit(3)))
	slices.Reverse(forwards)
	if err1 != nil || err2 != nil || len(forwards) != 5 || !slices.Equal(backwards, forwards[:3]) {
		t.Errorf("all rows, reversed: %q, %v; the last three: %q, %v", forwards, err1, backwards, err2)
	}

	// Another partition gets a row of the same key.
	c.send("in", "x1=a", "x2=a", "x3=a", "x4=a", "x5=a", "x6=a")
	eventually(t, "a key in two partitions is an error", func() bool {
		_, _, err := millrace.Get(ctx, app.App, p.rows, "a")
		return err != nil && strings.Contains(err.Error(), "both have the key")
	})
	app.stop()
}

// sessions is a Queryable whose windows are not those of the store.
type sessions struct {
	name string
	keys serde.Serde[serde.Windowed[string]]
}

func (s sessions) StoreName() string                             { return s.name }
func (s sessions) KeySerde() serde.Serde[serde.Windowed[string]] { return s.keys }
func (s sessions) ValueSerde() serde.Serde[string]               { return serde.String }

// A query that makes no sense returns an error that says what is wrong.
func TestQueriesWithBadInput(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in"))
	p := sorter{
		rows:   state.KeyValue("rows", serde.String, serde.String),
		visits: windowstore.New("visits", serde.String, serde.String, time.Second, time.Hour),
	}
	app := twoStores(t, c, p)
	c.send("in", "k=v")
	ctx := t.Context()
	eventually(t, "the row is there", func() bool {
		_, ok, _ := millrace.Get(ctx, app.App, p.rows, "v")
		return ok
	})
	of := func(ctx context.Context, app *millrace.App, table millrace.Queryable[string, string]) error {
		_, _, err := millrace.Get(ctx, app, table, "v")
		return err
	}
	unstored := topology.Source(topology.New(), "in", serde.String, serde.String).ToTable("t").Filter(func(string) bool { return true })
	var none context.Context
	a, b, early, late := "a", "b", time.Unix(1, 0), time.Unix(2, 0)
	last := func(_ []string, err error) error { return err }
	for want, err := range map[string]error{
		"context is nil":                  of(none, app.App, p.rows),
		"App is nil":                      of(ctx, nil, p.rows),
		"table is nil":                    of(ctx, app.App, nil),
		"the table has no store":          of(ctx, app.App, unstored),
		"no such store":                   of(ctx, app.App, handWritten{"others"}),
		"it has windows":                  of(ctx, app.App, handWritten{"visits"}),
		"the limit must be positive":      last(list(millrace.Range(ctx, app.App, p.rows, nil, nil, millrace.Limit(-1)))),
		"Limit(0)":                        last(list(millrace.Prefix(ctx, app.App, p.rows, nil, millrace.Limit(0)))),
		"from = b comes after to = a":     last(list(millrace.Range(ctx, app.App, p.rows, &b, &a))),
		"is after to":                     last(list(millrace.Windows(ctx, app.App, p.visits, "v", late, early))),
		"after to = ":                     last(list(millrace.AllWindows(ctx, app.App, p.visits, late, early))),
		"use Windows or AllWindows":       last(list(millrace.Range(ctx, app.App, p.visits, nil, nil))),
		"not session-windowed string":     last(list(millrace.AllWindows(ctx, app.App, sessions{"visits", serde.SessionWindowed(serde.String)}, early, late))),
		"not time-windowed (1m0s) string": last(list(millrace.AllWindows(ctx, app.App, sessions{"visits", serde.TimeWindowed(serde.String, time.Minute)}, early, late))),
		"keys is nil":                     last(list(millrace.AllWindows(ctx, app.App, sessions{"visits", nil}, early, late))),
		"it has no windows":               last(list(millrace.Windows(ctx, app.App, sessions{"rows", serde.SessionWindowed(serde.String)}, "v", early, late))),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := list(millrace.Range(ctx, app.App, p.rows, nil, nil, nil)); err != nil {
		t.Errorf("a nil option: %v", err)
	}
	for _, times := range [][2]time.Time{{{}, {}}, {{}, time.Unix(1<<60, 0)}, {time.Unix(1<<60, 0), time.Unix(1<<61, 0)}} {
		if _, err := list(millrace.AllWindows(ctx, app.App, p.visits, times[0], times[1])); err != nil {
			t.Errorf("windows from %v to %v: %v", times[0], times[1], err)
		}
	}
	app.stop()
}

// A table that is not windowed may have windowed keys: its rows have an order of keys.
func TestQueriesOfStoredWindowedKeys(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in"))
	b := topology.New()
	windows := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key").Window(topology.Tumbling(time.Second)).Count("counts")
	large := windows.Filter(func(n int64) bool { return n > 0 }).Stored("large")
	app := run(t, build(t, b), c.config("app", t.TempDir()))
	c.send("in", "a=1", "b=2")
	at := serde.Windowed[string]{Key: "a", Window: serde.Window{Start: 1000}}
	eventually(t, "the row is there", func() bool {
		n, ok, err := millrace.Get(t.Context(), app.App, large, at)
		return err == nil && ok && n == 1
	})
	eventually(t, "both rows are there", func() bool {
		rows, err := list(millrace.Range(t.Context(), app.App, large, nil, nil))
		return err == nil && len(rows) == 2
	})
	if _, err := list(millrace.Windows(t.Context(), app.App, large, "a", time.Unix(0, 0), time.Unix(9, 0))); err == nil || !strings.Contains(err.Error(), "no windows") {
		t.Errorf("Windows: %v", err)
	}
	app.stop()
}
