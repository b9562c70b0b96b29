package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
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

type (
	fixedCtx = processor.FixedKeyContext[string, string]
	fixedRec = processor.FixedKeyRecord[string, string]
)

var changes = state.KeyValue("changes", serde.String, serde.Int64)

// historian gives each row a value that depends on all updates of the row so far: their
// number and the last one. It counts deletions too. "skip" leaves the row as it is, and
// each fifth update deletes the row in the result.
type historian struct {
	changes state.KeyValueStore[string, int64]
}

func (p *historian) Init(ctx fixedCtx) error {
	p.changes = state.Open(ctx.Stores(), changes)
	return nil
}

func (p *historian) Process(ctx fixedCtx, r fixedRec) error {
	n, _, err := p.changes.Get(r.Key())
	if err != nil {
		return err
	}
	if value, ok := chronicle(n+1, r.Value(), !r.NoValue()); ok {
		out := processor.WithFixedKeyValue(r, value)
		if value == "" {
			out = out.WithoutValue()
		}
		ctx.Forward(out)
	}
	return p.changes.Put(r.Key(), n+1)
}

// chronicle returns the value for the nth update of a row, "" to delete it. ok is false
// if the row stays as it is.
func chronicle(n int64, value string, present bool) (_ string, ok bool) {
	switch {
	case value == "skip":
		return "", false
	case n%5 == 0:
		return "", true
	case !present:
		value = "gone"
	}
	return fmt.Sprintf("%c%d %s", 'a'+rune(n%3), n, value), true
}

// processed is the topology of the tests: a table, the table that historian makes from
// it, and a group of that table by the first letter of its values.
func processed(b *topology.Builder, source []topology.SourceTableOption, stored []topology.TableOption) {
	in := topology.SourceTable(b, "in", serde.String, serde.String, source...)
	rows := topology.ProcessTable(in, "historian", func() *historian { return &historian{} }, serde.String, changes).Stored("rows", stored...)
	rows.Stream().To("out")
	letter := func(v string) string { return v[:1] }
	sum := func(by int64) func(int64, processor.Record[string, string]) int64 {
		return func(n int64, r processor.Record[string, string]) int64 { return n + by*int64(len(r.Value)) }
	}
	sums := topology.AggregateTable(topology.GroupTable(rows, "by-letter", letter, serde.String), "sums",
		func() int64 { return 0 }, sum(1), sum(-1), serde.Int64)
	topology.MapTable(sums, func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("sums-out")
}

// TestProcessTableIsTheModel changes random rows over random commits, crashes and
// restarts. The result must be that of a naive model. If the old row of an update were
// not the one that was sent before, the sums of its lengths would be wrong. If updates
// are merged, their number is not known, so the sums are compared with the rows only.
func TestProcessTableIsTheModel(t *testing.T) {
	t.Parallel()
	r := seedtest.Rand(t, "./topologytest")
	runs := 60
	if testing.Short() {
		runs = 20
	}
	for run := range runs {
		exact := r.IntN(3) > 0
		w := newProcessWorld(t, r, exact)
		for i := range 60 {
			if w.change(r, i); r.IntN(6) > 0 {
				continue
			}
			if r.IntN(3) == 0 {
				w.stop(r)
			}
			w.d.Commit()
			rows := latestOf(w.d, "out")
			if exact && !maps.Equal(rows, w.rows) {
				t.Fatalf("run %d, after %d changes: the rows are\n %v, want\n %v", run, i+1, rows, w.rows)
			}
			got, want := latestOf(w.d, "sums-out"), sumsOf(rows)
			maps.DeleteFunc(got, func(_, sum string) bool { return sum == "0" })
			if !maps.Equal(got, want) {
				t.Fatalf("run %d, exact %t, after %d changes: the sums are %v, want %v of the rows\n %v", run, exact, i+1, got, want, rows)
			}
		}
	}
}

// sumsOf returns the sums of the lengths of the rows, by first letter. It leaves out
// groups that have lost their rows.
func sumsOf(rows map[string]string) map[string]string {
	sums := map[string]int{}
	for _, v := range rows {
		sums[v[:1]] += len(v)
	}
	out := map[string]string{}
	for letter, n := range sums {
		out[letter] = fmt.Sprint(n)
	}
	return out
}

// processWorld is a driver of the topology processed, and its expected rows.
type processWorld struct {
	d          *topologytest.Driver
	partitions int32
	updates    map[string]int64 // by key
	rows       map[string]string
}

// newProcessWorld starts a driver. exact says that the processor gets every update.
func newProcessWorld(t *testing.T, r *rand.Rand, exact bool) *processWorld {
	w := &processWorld{partitions: 1 + r.Int32N(3), updates: map[string]int64{}, rows: map[string]string{}}
	opts := []topologytest.Option{topologytest.Partitions("in", w.partitions), topologytest.Workers(1 + r.IntN(3))}
	if r.IntN(5) > 0 {
		opts = append(opts, topologytest.CommitInterval(time.Hour))
	}
	var source []topology.SourceTableOption
	if exact {
		source = append(source, topology.EveryUpdate())
	}
	var stored []topology.TableOption
	switch r.IntN(4) {
	case 0:
		stored = append(stored, topology.EveryUpdate())
	case 1:
		stored = append(stored, topology.InMemory())
	}
	b := topology.New()
	processed(b, source, stored)
	w.d = topologytest.New(t, build(t, b), opts...)
	return w
}

// change changes a random row.
func (w *processWorld) change(r *rand.Rand, i int) {
	key, value := "klmno"[r.IntN(5):][:1], fmt.Sprint(r.IntN(1000))
	present := r.IntN(4) > 0
	if r.IntN(6) == 0 {
		value = "skip"
	}
	if !present {
		value = "-"
	}
	sendRow(w.d, "in", key, value, int64(max(0, i-r.IntN(10))))
	w.updates[key]++
	switch v, ok := chronicle(w.updates[key], value, present); {
	case !ok:
	case v == "":
		delete(w.rows, key)
	default:
		w.rows[key] = v
	}
}

// stop ends tasks in one of several ways.
func (w *processWorld) stop(r *rand.Rand) {
	disk := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk}[r.IntN(3)]
	switch r.IntN(3) {
	case 0:
		w.d.Restart()
	case 1:
		w.d.CrashAll(disk)
	default:
		w.d.Crash("in", r.Int32N(w.partitions), disk)
	}
}

// TestProcessTableOfVersions: an update of the past does not replace the newest row of
// the result.
func TestProcessTableOfVersions(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.SourceTable(b, "in", serde.String, serde.String, topology.Versioned(time.Hour), topology.EveryUpdate())
	rows := topology.ProcessTable(in, "historian", func() *historian { return &historian{} }, serde.String, changes)
	rows.Stored("newest").Stream().To("out")
	rows.Stream().To("all")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	sendRow(d, "in", "k", "x", 20)
	sendRow(d, "in", "k", "y", 10)
	sendRow(d, "in", "k", "z", 30)
	if got, want := fmt.Sprint(texts(d, "out")), "[k=b1 x k=a3 z]"; got != want {
		t.Errorf("the newest rows: %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(texts(d, "all")), "[k=b1 x k=c2 y k=a3 z]"; got != want {
		t.Errorf("all updates: %s, want %s", got, want)
	}
}

// TestProcessTableOfWindows: the result has the windows of the table, so it can be
// suppressed until they are closed.
func TestProcessTableOfWindows(t *testing.T) {
	t.Parallel()
	b := topology.New()
	clicks := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key")
	counts := clicks.Window(topology.Tumbling(10 * time.Millisecond)).Count("counts")
	stars := topology.ProcessTable(counts.Table, "stars", func() *stars { return &stars{} }, serde.String).Stored("stars-of")
	topology.SelectKey(stars.Suppress("closed", topology.UntilClosed()).Stream(),
		func(r processor.Record[serde.Windowed[string], string]) string { return r.Key.Key }, serde.String).To("out")
	d := topologytest.New(t, build(t, b))
	for _, at := range []int64{1, 2, 3, 15, 25} {
		sendRow(d, "in", "k", "v", at)
	}
	if got, want := fmt.Sprint(texts(d, "out")), "[k=*** k=*]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

type windowKey = serde.Windowed[string]

// stars writes a count as so many stars.
type stars struct{}

func (*stars) Init(processor.FixedKeyContext[windowKey, string]) error { return nil }

func (*stars) Process(ctx processor.FixedKeyContext[windowKey, string], r processor.FixedKeyRecord[windowKey, int64]) error {
	ctx.Forward(processor.WithFixedKeyValue(r, strings.Repeat("*", int(r.Value()))))
	return nil
}

// TestProcessTableWithoutAStore: what needs the old rows of the result, or looks its rows
// up, is refused and told the remedy.
func TestProcessTableWithoutAStore(t *testing.T) {
	t.Parallel()
	itself := func(v string) string { return v }
	for want, use := range map[string]func(b *topology.Builder, rows topology.Table[string, string]){
		"its old values cannot be subtracted: call Stored on the table first": func(_ *topology.Builder, rows topology.Table[string, string]) {
			topology.GroupTable(rows, "by", itself, serde.String).Count("n")
		},
		"its rows cannot be looked up: call Stored on the table first": func(b *topology.Builder, rows topology.Table[string, string]) {
			and := func(a, b string) string { return a + b }
			topology.Join(topology.Source(b, "stream", serde.String, serde.String), rows, and, serde.String)
		},
		"its earlier rows are not known: call Stored on the table first": func(_ *topology.Builder, rows topology.Table[string, string]) {
			rows.Suppress("calm", topology.UntilTimeLimit(time.Second))
		},
		"needs a name": func(b *topology.Builder, rows topology.Table[string, string]) {
			topology.ProcessTable(rows, "", func() *historian { return &historian{} }, serde.String, changes)
		},
	} {
		b := topology.New()
		in := topology.SourceTable(b, "in", serde.String, serde.String)
		use(b, topology.ProcessTable(in, "historian", func() *historian { return &historian{} }, serde.String, changes))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
