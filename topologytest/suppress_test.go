package topologytest_test

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// suppressedRow is an update of a table; value 0 is a deletion.
type suppressedRow struct {
	key             string
	slot, value, at int64
}

func (r suppressedRow) String() string { return fmt.Sprintf("%s=%d@%d", r.key, r.value, r.at) }

// suppressModel holds updates back as a list.
type suppressModel struct {
	limit, maxRecords int64
	streamTime        int64
	held              []suppressedRow
}

// flush takes updates, and returns the updates that are passed on.
func (m *suppressModel) flush(updates []suppressedRow) (out []suppressedRow) {
	for _, u := range updates {
		m.streamTime = max(m.streamTime, u.at)
		if i := slices.IndexFunc(m.held, func(r suppressedRow) bool { return r.key == u.key }); i >= 0 {
			m.held[i].value, m.held[i].at = u.value, u.at
			continue
		}
		u.slot = u.at
		m.held = append(m.held, u)
	}
	slices.SortFunc(m.held, func(a, b suppressedRow) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.key, b.key))
	})
	for len(m.held) > 0 && (m.held[0].slot <= m.streamTime-m.limit || m.maxRecords > 0 && int64(len(m.held)) > m.maxRecords) {
		out, m.held = append(out, m.held[0]), m.held[1:]
	}
	return out
}

// mergedUpdates merges the updates between two commits, in the order of their first
// change. A row that was created and deleted in between has no update.
func mergedUpdates(updates []suppressedRow, committed map[string]int64) (out []suppressedRow) {
	for _, u := range updates {
		if i := slices.IndexFunc(out, func(r suppressedRow) bool { return r.key == u.key }); i >= 0 {
			out[i] = u
		} else {
			out = append(out, u)
		}
	}
	out = slices.DeleteFunc(out, func(u suppressedRow) bool { return u.value == 0 && committed[u.key] == 0 })
	for _, u := range updates {
		committed[u.key] = u.value
	}
	return out
}

// limitedTable is a table of a topic behind a time limit, and the sum of its rows.
func limitedTable(t *testing.T, limit time.Duration, maxRecords int64, opts ...topology.TableOption) *topology.Topology {
	b := topology.New()
	in := topology.SourceTable(b, "in", serde.String, serde.Int64)
	until := topology.UntilTimeLimit(limit)
	if maxRecords > 0 {
		until = until.MaxRecords(maxRecords)
	}
	calm := in.Suppress("calm", until, opts...)
	calm.Stream().To("out")
	all := topology.GroupTable(calm, "all", func(int64) string { return "all" }, serde.String)
	all.Reduce("total", sumOfTwo, func(a, b int64) int64 { return a - b }).Stream().To("totals")
	return build(t, b)
}

// TestSuppressHoldsUpdatesBack compares a time limit with a list: updates out of order,
// deletions, commits at any time, a bound, and crashes with every kind of disk. An
// aggregation of the table is the sum of the rows that were passed on.
func TestSuppressHoldsUpdatesBack(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]topology.TableOption{"on disk": nil, "in memory": {topology.InMemory()}} {
		for _, maxRecords := range []int64{0, 2} {
			for _, limit := range []int64{0, 30} {
				topo := limitedTable(t, time.Duration(limit)*time.Millisecond, maxRecords, opts...)
				for _, every := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d records/%d ms/every update %t", name, maxRecords, limit, every), func(t *testing.T) {
						t.Parallel()
						seedtest.Run(t, 4, func(t *testing.T, seed uint64) {
							runLimited(t, topo, suppressModel{limit: limit, maxRecords: maxRecords}, every, seed)
						})
					})
				}
			}
		}
	}
}

func runLimited(t *testing.T, topo *topology.Topology, model suppressModel, every bool, seed uint64) {
	t.Helper()
	d, r := startSuppress(t, topo, every, seed)
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	keys, pace := 1+r.IntN(6), 1+r.IntN(6)
	rows, committed := map[string]int64{}, map[string]int64{}
	var updates, want []suppressedRow
	flush := func() {
		if !every {
			updates = mergedUpdates(updates, committed)
		}
		want = append(want, model.flush(updates)...)
		updates = nil
	}
	for i := range 100 {
		u := suppressedRow{key: fmt.Sprint(r.IntN(keys)), value: int64(1 + r.IntN(9)), at: int64(1000 + i*pace + r.IntN(90) - 70)}
		if rows[u.key] != 0 && r.IntN(5) == 0 {
			u.value = 0
		}
		rows[u.key] = u.value
		input.SendRecord(processor.Record[string, int64]{Key: u.key, Value: u.value, NoValue: u.value == 0, Timestamp: processor.Timestamp(u.at)})
		if updates = append(updates, u); every {
			flush()
		}
		if r.IntN(10) == 0 {
			d.Commit()
			flush()
		}
		if crashSometimes(d, r, seed) {
			flush()
		}
	}
	d.Commit()
	flush()
	var got []string
	last := map[string]int64{}
	for _, r := range topologytest.Output(d, "out", serde.String, serde.Int64).Records() {
		got = append(got, fmt.Sprintf("%s=%d@%d", r.Key, r.Value, r.Timestamp))
		last[r.Key] = r.Value
	}
	compareRows(t, seed, got, want)
	compareTotal(t, d, seed, maps.Values(last))
}

func startSuppress(t *testing.T, topo *topology.Topology, every bool, seed uint64) (*topologytest.Driver, *rand.Rand) {
	opts := []topologytest.Option{topologytest.CommitInterval(time.Hour), topologytest.Start(time.UnixMilli(1000))}
	if every {
		opts = append(opts, topologytest.EveryUpdate())
	}
	return topologytest.New(t, topo, opts...), rand.New(rand.NewPCG(seed, 3))
}

// crashSometimes reports whether it has committed, as StaleDisk does.
func crashSometimes(d *topologytest.Driver, r *rand.Rand, seed uint64) (committed bool) {
	disks := []topologytest.Disk{topologytest.StaleDisk, topologytest.KeepDisk, topologytest.LoseDisk, topologytest.TearDisk(seed)}
	if r.IntN(25) != 0 {
		return false
	}
	i := r.IntN(len(disks))
	d.CrashAll(disks[i])
	return i == 0
}

func compareRows(t *testing.T, seed uint64, got []string, want []suppressedRow) {
	t.Helper()
	var texts []string
	for _, row := range want {
		texts = append(texts, row.String())
	}
	if !slices.Equal(got, texts) {
		t.Fatalf("seed %d: rows\n %v, want\n %v", seed, got, texts)
	}
}

// compareTotal compares the sum that the topology has computed with the sum of the rows
// that were passed on.
func compareTotal(t *testing.T, d *topologytest.Driver, seed uint64, rows func(func(int64) bool)) {
	t.Helper()
	got, want := int64(0), int64(0)
	for _, r := range topologytest.Output(d, "totals", serde.String, serde.Int64).Records() {
		got = r.Value
	}
	for n := range rows {
		want += n
	}
	if got != want {
		t.Fatalf("seed %d: the total is %d, want %d", seed, got, want)
	}
}

// TestSuppressUntilClosed compares a table that waits for its windows with the models of
// Final. Each row is passed on once, at the commit after its window was closed, in order
// of end and key.
func TestSuppressUntilClosed(t *testing.T) {
	t.Parallel()
	for _, c := range finalCases() {
		if c.name == "sessions" {
			continue // see TestSuppressSessionsUntilClosed
		}
		// A filter that hides updates must not keep windows open.
		topo := suppressedSums(t, func(in topology.Stream[string, int64]) topology.WindowedTable[string, int64] {
			return c.sums(topology.GroupByKey(in, "by-key"))
		}, func(sum int64) bool { return sum%2 == 0 })
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/every update %t", c.name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
					runUntilClosed(t, topo, c, every, seed)
				})
			})
		}
	}
}

func runUntilClosed(t *testing.T, topo *topology.Topology, c finalCase, every bool, seed uint64) {
	t.Helper()
	d, r := startSuppress(t, topo, every, seed)
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	model := c.model()
	keys, pace := 1+r.IntN(3), 1+r.IntN(6)
	var closed, want []finalRow
	committed := func() {
		slices.SortFunc(closed, func(a, b finalRow) int { return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.key, b.key)) })
		want, closed = append(want, closed...), nil
	}
	for i := range 100 {
		key, value, at := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9)), int64(1000+i*pace+r.IntN(60)-40)
		input.Send(key, value, time.UnixMilli(at))
		closed = append(closed, slices.DeleteFunc(model.add(key, at, value), func(r finalRow) bool { return r.sum%2 != 0 })...)
		if r.IntN(10) == 0 {
			d.Commit()
			committed()
		}
		if crashSometimes(d, r, seed) {
			committed()
		}
	}
	d.Commit()
	committed()
	var got []finalRow
	sums := map[finalRow]int64{}
	for _, r := range topologytest.Output(d, "out", c.keys, serde.Int64).Records() {
		row := finalRow{r.Key.Key, r.Key.Window.Start, r.Key.Window.End, r.Value, int64(r.Timestamp)}
		got, sums[row] = append(got, row), row.sum
	}
	if every {
		// An update makes the table pass on at once all rows that are due.
		byEnd := func(a, b finalRow) int { return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.key, b.key)) }
		slices.SortFunc(got, byEnd)
		slices.SortFunc(want, byEnd)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: rows\n %v, want\n %v", seed, got, want)
	}
	compareTotal(t, d, seed, maps.Values(sums))
}

// TestSuppressSessionsUntilClosed compares sessions that wait until they are closed with
// the model of sessions. A closed session may be merged into a later one, and is then
// deleted. In the end all sessions have been passed on.
func TestSuppressSessionsUntilClosed(t *testing.T) {
	t.Parallel()
	topo := suppressedSums(t, func(in topology.Stream[string, int64]) topology.WindowedTable[string, int64] {
		return topology.GroupByKey(in, "by-key").Sessions(sessionGap*time.Millisecond).Grace(sessionGrace*time.Millisecond).
			Reduce("sums", sumOfTwo)
	}, func(int64) bool { return true })
	for _, every := range []bool{false, true} {
		t.Run(fmt.Sprintf("every update %t", every), func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
				d, r := startSuppress(t, topo, every, seed)
				input := topologytest.Input(d, "in", serde.String, serde.Int64)
				model := &sessionModel{sessions: map[string][][]sessionRecord{}, streamTime: -1}
				keys, pace := 1+r.IntN(3), 1+r.IntN(6)
				for i := range 100 {
					key, value, at := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9)), int64(1000+i*pace+r.IntN(60)-40)
					input.Send(key, value, time.UnixMilli(at))
					model.add(key, at, value)
					if r.IntN(10) == 0 {
						d.Commit()
					}
					crashSometimes(d, r, seed)
				}
				input.Send("end", 1, time.UnixMilli(10_000))
				d.Commit()
				got := map[string]int64{}
				for _, r := range topologytest.Output(d, "out", serde.SessionWindowed(serde.String), serde.Int64).Records() {
					if got[sessionName(r.Key)] = r.Value; r.NoValue {
						delete(got, sessionName(r.Key))
					}
				}
				if want := model.sums(); !maps.Equal(got, want) {
					t.Fatalf("seed %d: sessions\n %v, want\n %v", seed, got, want)
				}
				compareTotal(t, d, seed, maps.Values(got))
			})
		})
	}
}

// suppressedSums are the rows of a windowed table that pass a filter, held back until
// their windows are closed, and the sum of these rows.
func suppressedSums(t *testing.T, sums func(topology.Stream[string, int64]) topology.WindowedTable[string, int64], keep func(int64) bool) *topology.Topology {
	b := topology.New()
	last := sums(topology.Source(b, "in", serde.String, serde.Int64)).Filter(keep).Suppress("last", topology.UntilClosed())
	last.Stream().To("out")
	all := topology.GroupTable(last, "all", func(int64) string { return "all" }, serde.String)
	all.Reduce("total", sumOfTwo, func(a, b int64) int64 { return a - b }).Stream().To("totals")
	return build(t, b)
}

// TestFullBufferFails checks the error of a buffer that must not pass rows on early.
func TestFullBufferFails(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]topology.Suppression{
		"records": topology.UntilTimeLimit(time.Second).MaxRecords(2).FailWhenFull(),
		"bytes":   topology.UntilTimeLimit(time.Second).MaxBytes(100).FailWhenFull(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			topology.SourceTable(b, "in", serde.String, serde.Int64).Suppress("calm", until).Stream().To("out")
			d := topologytest.New(t, build(t, b))
			in := topologytest.Input(d, "in", serde.String, serde.Int64)
			err := d.Try(func() {
				for i := range int64(10) {
					in.Send(fmt.Sprint(i), i, time.UnixMilli(i))
				}
				d.Commit()
			})
			if err == nil || !strings.Contains(err.Error(), "the buffer calm is full") || !strings.Contains(err.Error(), "raise MaxRecords") {
				t.Fatalf("a full buffer returned %v", err)
			}
		})
	}
}

// TestFullBufferIsLogged: rows that are passed on early are logged, at most once a
// minute.
func TestFullBufferIsLogged(t *testing.T) {
	t.Parallel()
	b := topology.New()
	until := topology.UntilTimeLimit(time.Hour).MaxRecords(1)
	topology.SourceTable(b, "in", serde.String, serde.Int64).Suppress("calm", until).Stream().To("out")
	var log bytes.Buffer
	d := topologytest.New(t, build(t, b), topologytest.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	for i, step := range []struct {
		wait time.Duration
		want int
	}{{0, 0}, {0, 1}, {59 * time.Second, 1}, {time.Second, 2}} {
		d.Advance(step.wait)
		in.Send(fmt.Sprint(i), 1, start)
		d.Commit()
		if n := strings.Count(log.String(), "a buffer is full: rows are passed on before their time"); n != step.want {
			t.Errorf("%d warnings after record %d, want %d", n, i, step.want)
		}
	}
}

// TestJoinsSeeWhatHasGoneOn checks that a join with a suppressed table finds the rows
// that were passed on, and not those that are held back.
func TestJoinsSeeWhatHasGoneOn(t *testing.T) {
	t.Parallel()
	b := topology.New()
	calm := topology.SourceTable(b, "in", serde.String, serde.Int64).Suppress("calm", topology.UntilTimeLimit(100*time.Millisecond))
	questions := topology.Source(b, "asked", serde.String, serde.String)
	topology.LeftJoin(questions, calm, func(q string, n int64, ok bool) string { return fmt.Sprint(q, " ", n, " ", ok) }, serde.String).To("answers")
	d := topologytest.New(t, build(t, b), topologytest.CommitInterval(time.Hour))
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	asked := topologytest.Input(d, "asked", serde.String, serde.String)
	update := func(key string, n, ms int64) { in.Send(key, n, time.UnixMilli(ms)) }
	ask := func(q string, ms int64) { asked.Send("k", q, time.UnixMilli(ms)) }
	update("k", 1, 0)
	d.Commit()
	ask("held back", 1)
	update("z", 1, 200)
	d.Commit()
	ask("gone on", 201)
	update("k", 2, 210)
	ask("not committed", 211)
	d.Commit()
	ask("held back again", 212)
	d.CrashAll(topologytest.LoseDisk)
	ask("after a crash", 213)
	update("z", 2, 400)
	d.Commit()
	ask("gone on again", 401)
	d.Commit()
	var got []string
	for _, r := range topologytest.Output(d, "answers", serde.String, serde.String).Records() {
		got = append(got, r.Value)
	}
	want := []string{"held back 0 false", "gone on 1 true", "not committed 1 true", "held back again 1 true", "after a crash 1 true", "gone on again 2 true"}
	if !slices.Equal(got, want) {
		t.Fatalf("answers\n %q, want\n %q", got, want)
	}
}

// TestSuppressWaitsForAllWindows: a row of two windowed tables is passed on when both
// have closed its window.
func TestSuppressWaitsForAllWindows(t *testing.T) {
	t.Parallel()
	b := topology.New()
	by := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.Int64), "by-key")
	tumbling := topology.Tumbling(10 * time.Millisecond)
	sums := by.Window(tumbling).Reduce("sums", sumOfTwo)
	late := by.Window(tumbling.Grace(20*time.Millisecond)).Reduce("late", sumOfTwo)
	topology.JoinTables(late.Table, sums.Table, sumOfTwo, serde.Int64).Suppress("both", topology.UntilClosed()).Stream().To("out")
	d := topologytest.New(t, build(t, b))
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	for _, step := range []struct{ at, rows int }{{1, 0}, {10, 0}, {29, 0}, {30, 1}} {
		in.Send("k", 1, time.UnixMilli(int64(step.at)))
		d.Commit()
		if n := len(d.Topic("out")); n != step.rows {
			t.Errorf("at %d: %d rows were passed on, want %d", step.at, n, step.rows)
		}
	}
}

// TestSuppressForgetsDeletedRows: many rows are deleted before their window is closed.
// The others are passed on all the same.
func TestSuppressForgetsDeletedRows(t *testing.T) {
	t.Parallel()
	topo := suppressedSums(t, func(in topology.Stream[string, int64]) topology.WindowedTable[string, int64] {
		return topology.GroupByKey(in, "by-key").Window(topology.Tumbling(10*time.Millisecond)).Reduce("sums", sumOfTwo)
	}, func(sum int64) bool { return sum == 1 })
	d := topologytest.New(t, topo, topologytest.EveryUpdate())
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	for i := range 200 {
		key := fmt.Sprint(i)
		if in.Send(key, 1, time.UnixMilli(1)); i%50 != 7 {
			in.Send(key, 1, time.UnixMilli(1))
		}
	}
	in.Send("end", 2, time.UnixMilli(20))
	d.Commit()
	var got []string
	for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, 10*time.Millisecond), serde.Int64).Records() {
		got = append(got, fmt.Sprint(r.Key.Key, "=", r.Value))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"107=1", "157=1", "57=1", "7=1"}) {
		t.Errorf("passed on %q", got)
	}
}

// TestBytesOfAFullBuffer: the bytes count of the rows that are held back now, also if
// they have grown, or come from before a crash.
func TestBytesOfAFullBuffer(t *testing.T) {
	t.Parallel()
	start := func() (d *topologytest.Driver, send func(key string, bytes int, at int64) (passed int)) {
		b := topology.New()
		until := topology.UntilTimeLimit(time.Second).MaxBytes(1000)
		topology.SourceTable(b, "in", serde.String, serde.String).Suppress("calm", until).Stream().To("out")
		d = topologytest.New(t, build(t, b))
		in := topologytest.Input(d, "in", serde.String, serde.String)
		return d, func(key string, bytes int, at int64) int {
			before := len(d.Topic("out"))
			in.Send(key, strings.Repeat("x", bytes), time.UnixMilli(at))
			d.Commit()
			return len(d.Topic("out")) - before
		}
	}
	_, send := start()
	for i := range int64(10) {
		if n := send(fmt.Sprint(i), 400, 2000*i); n != int(min(i, 1)) {
			t.Fatalf("record %d: %d rows were passed on, want the one that is due", i, n)
		}
	}
	_, send = start()
	if first, second := send("k", 10, 0), send("k", 1000, 0); first != 0 || second != 1 {
		t.Errorf("a row that has become too large: %d and %d rows were passed on, want 0 and 1", first, second)
	}
	d, send := start()
	if n := send("a", 400, 0) + send("b", 400, 0); n != 0 {
		t.Fatalf("%d rows were passed on", n)
	}
	d.CrashAll(topologytest.LoseDisk)
	if n := send("c", 400, 0); n != 1 {
		t.Errorf("after a crash, the third row passes %d on, want 1", n)
	}
}
