package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// A slow reader of a table does not delay the end of the application or a rebalance. When
// the partition is revoked, the loop gets an error.
func TestSlowQueryHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	topo, table := counting(t)
	app := run(t, topo, c.config("app", t.TempDir()))
	c.send("in", values(0, 20)...)
	c.read("out", 20)
	rows := 0
	var last error
	for row, err := range millrace.Range(context.Background(), app.App, table, nil, nil) {
		if last = err; err != nil {
			break
		}
		if rows++; rows == 1 {
			app.stop()
			if row.Key != "v0" || row.Value != int64(c.countOf("v0", 20)) {
				t.Errorf("the row became %v", row)
			}
		}
	}
	if rows != 1 || !errors.Is(last, millrace.ErrNotHere) {
		t.Errorf("%d rows, and then %v", rows, last)
	}
}

// Queries of windows return the last committed rows. A key that begins like another one
// gets only its own windows. A version of the program with a longer retention finds the
// rows that an earlier version has written.
func TestQueriesOfWindows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in", "out"))
	dir := t.TempDir()
	version := func(grace time.Duration) (*topology.Topology, topology.WindowedTable[string, int64]) {
		b := topology.New()
		by := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key")
		windows := by.Window(topology.Hopping(10*time.Second, 5*time.Second).Grace(grace)).Count("counts")
		windows.Stream().To("out")
		return build(t, b), windows
	}
	check := func(app *running, windows topology.WindowedTable[string, int64]) {
		t.Helper()
		at := func(start int) serde.Windowed[string] {
			return serde.Windowed[string]{Key: "k", Window: serde.Window{Start: int64(start) * 1000}}
		}
		// Records of k are at 1, 3, 5, ..., 19 s.
		want := map[int]int64{0: 5, 5: 5, 10: 5, 15: 3}
		for start, n := range want {
			eventually(t, "the window has been counted", func() bool {
				got, ok, err := millrace.Get(t.Context(), app.App, windows, at(start))
				return err == nil && ok && got == n
			})
		}
		if _, ok, err := millrace.Get(t.Context(), app.App, windows, at(20)); ok || err != nil {
			t.Errorf("a window without records: %v, %v", ok, err)
		}
		var got []string
		// The window at 0 starts before the time from, though by less than a millisecond.
		for row, err := range millrace.Windows(t.Context(), app.App, windows, "k", time.Unix(0, 1), time.Unix(15, 0)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s@%d-%d=%d", row.Key.Key, row.Key.Start, row.Key.End, row.Value))
		}
		if want := []string{"k@5000-15000=5", "k@10000-20000=5", "k@15000-25000=3"}; !slices.Equal(got, want) {
			t.Errorf("windows %v, want %v", got, want)
		}
		for row, err := range millrace.Range(t.Context(), app.App, windows, nil, nil) {
			if err == nil || !strings.Contains(err.Error(), "use Windows") {
				t.Errorf("Range of windows: %v, %v", row, err)
			}
		}
	}
	topo, windows := version(time.Minute)
	app := run(t, topo, c.config("app", dir))
	for i := range 10 {
		for _, r := range []struct {
			key string
			at  int
		}{{"k", 2*i + 1}, {"kk", 2*i + 2}} {
			record := &kgo.Record{Topic: "in", Key: []byte(r.key), Value: []byte("v"), Timestamp: time.Unix(int64(r.at), 0)}
			if err := c.cl.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(app, windows)
	app.stop()

	topo, windows = version(24 * time.Hour)
	app = run(t, topo, c.config("app", dir))
	check(app, windows)
	app.stop()
}
