package integration

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/windowstore"
)

var (
	pagesByName = state.KeyValue("pages", serde.String, serde.String)
	visits      = windowstore.New("visits", serde.String, serde.String, time.Minute, 100*24*time.Hour)
)

// keeper keeps the last value of each key, in all and by minute.
type keeper struct {
	pages  state.KeyValueStore[string, string]
	visits windowstore.Store[string, string]
}

func (p *keeper) Init(ctx processor.Context[string, string]) error {
	p.pages, p.visits = state.Open(ctx, pagesByName), windowstore.Open(ctx, visits)
	return nil
}

func (p *keeper) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	if err := p.pages.Put(r.Key, r.Value); err != nil {
		return err
	}
	return p.visits.Put(r.Key, r.Value, r.Timestamp/60_000*60_000)
}

// byHand is a Queryable of a program that has only names and serdes.
type byHand struct{ store string }

func (q byHand) StoreName() string             { return q.store }
func (byHand) KeySerde() serde.Serde[string]   { return serde.String }
func (byHand) ValueSerde() serde.Serde[string] { return serde.String }

// TestQueries asks stores that were filled in this run, and those that were restored
// without a disk: rows have their timestamps, and all loops work over two partitions.
func TestQueries(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	application, in := name(t, "app"), name(t, "in")
	c.createTopic(t, in, 2)
	c.cleanUp(t, application)
	base := time.Now().Add(-48 * time.Hour).Truncate(time.Minute)
	for i, record := range []string{"eu/ann", "eu/bob", "us/cid", "us/dan", "eu/ann"} {
		r := &kgo.Record{Topic: in, Key: []byte(record), Value: fmt.Append(nil, "page", i), Timestamp: base.Add(time.Duration(i) * time.Minute)}
		if err := c.client(t).ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"filled", "restored"} {
		t.Run(what, func(t *testing.T) { c.query(t, application, in, base.UnixMilli()) })
	}
}

// query runs the application on an empty directory, and asks it.
func (c *cluster) query(t *testing.T, application, in string, base int64) {
	b := topology.New()
	pages := topology.Source(b, in, serde.String, serde.String)
	topology.Process(pages, "keep", func() *keeper { return new(keeper) }, serde.String, serde.String, pagesByName, visits)
	grouped := topology.GroupByKey(pages, "by-key")
	counts := grouped.Count("counts")
	sessions := grouped.Sessions(90 * time.Second).Count("sessions")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(topo, millrace.Config{ApplicationID: application, Brokers: []string{c.brokers}, StateDir: t.TempDir(), SessionTimeout: 6 * time.Second,
		CloseTimeout: patience, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.Now().Add(patience); ; pause(50 * time.Millisecond) {
		ann, _, _ := millrace.Get(ctx, app, counts, "eu/ann")
		all, err := listed(millrace.Range(ctx, app, counts, nil, nil), base)
		if ann == 2 && len(all) == 4 && err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the rows are not there: %v, %v", all, err)
		}
	}
	at := func(minutes int) time.Time { return time.UnixMilli(base).Add(time.Duration(minutes) * time.Minute) }
	for what, test := range map[string]struct {
		rows iterator
		want []string
	}{
		"prefix":               {rowsOf(millrace.Prefix(ctx, app, pagesByName, []byte("eu/")), base), []string{"eu/ann=page4@4m", "eu/bob=page1@1m"}},
		"prefix, by hand":      {rowsOf(millrace.Prefix(ctx, app, byHand{"pages"}, []byte("eu/")), base), []string{"eu/ann=page4@4m", "eu/bob=page1@1m"}},
		"all":                  {rowsOf(millrace.Range(ctx, app, pagesByName, nil, nil), base), []string{"eu/ann=page4@4m", "eu/bob=page1@1m", "us/cid=page2@2m", "us/dan=page3@3m"}},
		"a table":              {rowsOf(millrace.Range(ctx, app, counts, nil, nil), base), []string{"eu/ann=2@4m", "eu/bob=1@1m", "us/cid=1@2m", "us/dan=1@3m"}},
		"windows of a key":     {rowsOf(millrace.Windows(ctx, app, visits, "eu/ann", at(0), at(9)), base), []string{"eu/ann 0-1=page0@0m", "eu/ann 4-5=page4@4m"}},
		"windows of all keys":  {rowsOf(millrace.AllWindows(ctx, app, visits, at(1), at(3)), base), []string{"eu/bob 1-2=page1@1m", "us/cid 2-3=page2@2m", "us/dan 3-4=page3@3m"}},
		"sessions of a key":    {rowsOf(millrace.Windows(ctx, app, sessions, "eu/ann", at(0), at(9)), base), []string{"eu/ann 0-0=1@0m", "eu/ann 4-4=1@4m"}},
		"sessions of all keys": {rowsOf(millrace.AllWindows(ctx, app, sessions, at(1), at(2)), base), []string{"eu/bob 1-1=1@1m", "us/cid 2-2=1@2m"}},
	} {
		got, err := test.rows()
		slices.Sort(got) // a partition comes after the other
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v, want %q", what, got, err, test.want)
		}
	}
	forwards, err1 := listed(millrace.Range(ctx, app, pagesByName, nil, nil), base)
	backwards, err2 := listed(millrace.Range(ctx, app, pagesByName, nil, nil, millrace.Reverse()), base)
	slices.Reverse(backwards)
	if err1 != nil || err2 != nil || !slices.Equal(forwards, backwards) {
		t.Errorf("forwards %q, %v, backwards and reversed %q, %v", forwards, err1, backwards, err2)
	}
	last, err := listed(millrace.Range(ctx, app, pagesByName, nil, nil, millrace.Reverse(), millrace.Limit(1)), base)
	if err != nil || len(last) != 1 || last[0] != forwards[len(forwards)-1] {
		t.Errorf("the last row: got %q, %v, want %s", last, err, forwards[len(forwards)-1])
	}
	if row, ok, err := millrace.GetRow(ctx, app, byHand{"pages"}, "us/cid"); !ok || err != nil || row.Value != "page2" || int64(row.Timestamp) != base+120_000 {
		t.Errorf("a row, by hand: %+v, %v, %v", row, ok, err)
	}
}

// iterator goes over rows when it is called.
type iterator func() ([]string, error)

func rowsOf[K, V any](rows iter.Seq2[millrace.Row[K, V], error], base int64) iterator {
	return func() ([]string, error) { return listed(rows, base) }
}

// listed returns rows as text, with times in minutes after base.
func listed[K, V any](rows iter.Seq2[millrace.Row[K, V], error], base int64) (got []string, err error) {
	minutes := func(ms int64) int64 { return (ms - base) / 60_000 }
	for row, err := range rows {
		if err != nil {
			return got, err
		}
		key := fmt.Sprint(row.Key)
		if w, ok := any(row.Key).(serde.Windowed[string]); ok {
			key = fmt.Sprintf("%s %d-%d", w.Key, minutes(w.Window.Start), minutes(w.Window.End))
		}
		got = append(got, fmt.Sprintf("%s=%v@%dm", key, row.Value, minutes(int64(row.Timestamp))))
	}
	return got, nil
}
