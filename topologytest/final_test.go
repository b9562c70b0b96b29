package topologytest_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

const (
	finalSize    = 20 // ms
	finalAdvance = 10
	finalGrace   = 7
)

// finalRow is a row of a Final table.
type finalRow struct {
	key        string
	start, end int64
	sum, at    int64
}

// finalModel says what a Final table sends for each record.
type finalModel interface {
	// add adds a record, and returns the rows that the record closes, in order.
	add(key string, at, value int64) []finalRow
}

// finalWindows is the model of hopping windows: it keeps every window that was not sent.
type finalWindows struct {
	size, advance, streamTime int64
	open                      []finalRow
}

func (m *finalWindows) add(key string, at, value int64) []finalRow {
	m.streamTime = max(m.streamTime, at)
	for start := int64(0); start <= at; start += m.advance {
		if at >= start+m.size || start+m.size <= m.streamTime-finalGrace {
			continue
		}
		i := slices.IndexFunc(m.open, func(r finalRow) bool { return r.key == key && r.start == start })
		if i < 0 {
			i, m.open = len(m.open), append(m.open, finalRow{key: key, start: start, end: start + m.size})
		}
		m.open[i].sum, m.open[i].at = m.open[i].sum+value, max(m.open[i].at, at)
	}
	return due(&m.open, m.streamTime-finalGrace, func(a, b finalRow) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
	})
}

// due removes the rows that end at a time or before it, and returns them in order.
func due(open *[]finalRow, until int64, order func(a, b finalRow) int) (out []finalRow) {
	*open = slices.DeleteFunc(*open, func(r finalRow) bool {
		if r.end > until {
			return false
		}
		out = append(out, r)
		return true
	})
	slices.SortFunc(out, order)
	return out
}

// finalSessions is the model of sessions. A session that was sent is not touched.
type finalSessions struct {
	streamTime int64
	open       []finalRow
}

func (m *finalSessions) add(key string, at, value int64) []finalRow {
	m.streamTime = max(m.streamTime, at)
	merged := finalRow{key, at, at, value, at}
	var others []finalRow
	for _, s := range m.open {
		if s.key != key || s.end < at-sessionGap || s.start > at+sessionGap {
			others = append(others, s)
			continue
		}
		merged.start, merged.end = min(merged.start, s.start), max(merged.end, s.end)
		merged.sum += s.sum
	}
	closed := m.streamTime - sessionGap - finalGrace - 1
	if merged.at = merged.end; merged.end > closed {
		m.open = append(others, merged)
	}
	return due(&m.open, closed, func(a, b finalRow) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
	})
}

// finalSliding is the model of sliding windows, by their definition. No record may be
// late.
type finalSliding struct {
	streamTime int64
	records    map[string][]sessionRecord
	sent       map[string]bool
}

// noneLate is a grace with which no record of the test is late.
const noneLate = 100

func (m *finalSliding) add(key string, at, value int64) []finalRow {
	m.streamTime = max(m.streamTime, at)
	m.records[key] = append(m.records[key], sessionRecord{at, value})
	var rows []finalRow
	for key, all := range m.records {
		for _, r := range all {
			for _, start := range []int64{r.at - finalSize, r.at + 1} {
				row := finalRow{key: key, start: start, end: start + finalSize, at: -1}
				for _, o := range all {
					if o.at >= start && o.at <= row.end {
						row.sum, row.at = row.sum+o.value, max(row.at, o.at)
					}
				}
				name := fmt.Sprint(key, " ", start)
				if row.at >= 0 && row.end < m.streamTime-noneLate && !m.sent[name] {
					m.sent[name] = true
					rows = append(rows, row)
				}
			}
		}
	}
	slices.SortFunc(rows, func(a, b finalRow) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
	})
	return rows
}

// finalCase is one kind of windows with its model.
type finalCase struct {
	name  string
	sums  func(g topology.Grouped[string, int64], opts ...topology.WindowedTableOption) topology.WindowedTable[string, int64]
	model func() finalModel
	keys  serde.Serde[serde.Windowed[string]]
}

func finalCases() []finalCase {
	windowed := func(w topology.Windows) func(g topology.Grouped[string, int64], opts ...topology.WindowedTableOption) topology.WindowedTable[string, int64] {
		return func(g topology.Grouped[string, int64], opts ...topology.WindowedTableOption) topology.WindowedTable[string, int64] {
			return g.Window(w).Reduce("sums", sumOfTwo, opts...)
		}
	}
	times := serde.TimeWindowed(serde.String, finalSize*time.Millisecond)
	return []finalCase{
		{"tumbling", windowed(topology.Tumbling(finalSize * time.Millisecond).Grace(finalGrace * time.Millisecond)),
			func() finalModel { return &finalWindows{size: finalSize, advance: finalSize} }, times},
		{"hopping", windowed(topology.Hopping(finalSize*time.Millisecond, finalAdvance*time.Millisecond).Grace(finalGrace * time.Millisecond)),
			func() finalModel { return &finalWindows{size: finalSize, advance: finalAdvance} }, times},
		{"sliding", windowed(topology.Sliding(finalSize * time.Millisecond).Grace(noneLate * time.Millisecond)),
			func() finalModel {
				return &finalSliding{records: map[string][]sessionRecord{}, sent: map[string]bool{}}
			}, times},
		{"sessions", func(g topology.Grouped[string, int64], opts ...topology.WindowedTableOption) topology.WindowedTable[string, int64] {
			return g.Sessions(sessionGap*time.Millisecond).Grace(finalGrace*time.Millisecond).Reduce("sums", sumOfTwo, opts...)
		}, func() finalModel { return &finalSessions{} }, serde.SessionWindowed(serde.String)},
	}
}

// TestFinalSendsClosedWindowsOnce compares Final with naive models: records out of order,
// some of them late, commits at any time, and crashes with every kind of disk. Each row
// is sent once, by the record that closes its window. An aggregation of the table is the
// sum of the rows that were sent.
func TestFinalSendsClosedWindowsOnce(t *testing.T) {
	t.Parallel()
	for _, c := range finalCases() {
		for name, opts := range map[string][]topology.WindowedTableOption{"on disk": nil, "in memory": {topology.InMemory()}} {
			b := topology.New()
			in := topology.Source(b, "in", serde.String, serde.Int64)
			sums := c.sums(topology.GroupByKey(in, "by-key"), opts...).Final()
			sums.Stream().To("out")
			all := topology.GroupTable(sums.Table, "all", func(int64) string { return "all" }, serde.String)
			all.Reduce("total", sumOfTwo, func(a, b int64) int64 { return a - b }).Stream().To("totals")
			topo := build(t, b)
			for _, every := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/every update %t", c.name, name, every), func(t *testing.T) {
					t.Parallel()
					seedtest.Run(t, 6, func(t *testing.T, seed uint64) {
						runFinal(t, topo, c, every, seed)
					})
				})
			}
		}
	}
}

func runFinal(t *testing.T, topo *topology.Topology, c finalCase, every bool, seed uint64) {
	t.Helper()
	opts := []topologytest.Option{topologytest.CommitInterval(20 * time.Millisecond), topologytest.Start(time.UnixMilli(1000))}
	if every {
		opts = append(opts, topologytest.EveryUpdate())
	}
	d := topologytest.New(t, topo, opts...)
	r := rand.New(rand.NewPCG(seed, 2))
	model := c.model()
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	keys, pace := 1+r.IntN(3), 1+r.IntN(6)
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	var want []finalRow
	var cause []string // the record that closes each row
	for i := range 100 {
		key, value := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9))
		at := int64(1000 + i*pace + r.IntN(60) - 40)
		number := fmt.Sprint(i)
		input.SendRecord(processor.Record[string, int64]{
			Key: key, Value: value, Timestamp: processor.Timestamp(at), Headers: processor.Headers{{Key: "n", Value: []byte(number)}},
		})
		for _, row := range model.add(key, at, value) {
			want, cause = append(want, row), append(cause, number)
		}
		d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
		if r.IntN(25) == 0 {
			d.CrashAll(disks[r.IntN(len(disks))])
		}
	}
	d.Commit()
	var got []finalRow
	sum, wantSum := int64(0), int64(0)
	for i, r := range topologytest.Output(d, "out", c.keys, serde.Int64).Records() {
		got = append(got, finalRow{r.Key.Key, r.Key.Window.Start, r.Key.Window.End, r.Value, int64(r.Timestamp)})
		if n, _ := r.Headers.Get("n"); i < len(cause) && string(n) != cause[i] {
			t.Fatalf("seed %d: row %v has the headers of record %s, want %s", seed, got[i], n, cause[i])
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: rows\n %v, want\n %v", seed, got, want)
	}
	for _, row := range want {
		wantSum += row.sum
	}
	for _, r := range topologytest.Output(d, "totals", serde.String, serde.Int64).Records() {
		sum = r.Value
	}
	if sum != wantSum {
		t.Fatalf("seed %d: the total is %d, want %d", seed, sum, wantSum)
	}
}

// TestFinalKeepsWhatWasClosed changes the grace of a table that has rows. A window that
// was sent stays closed. If only the new grace closes a window, the next record sends it.
func TestFinalKeepsWhatWasClosed(t *testing.T) {
	t.Parallel()
	topo := func(grace time.Duration) *topology.Topology {
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.Int64)
		topology.GroupByKey(in, "by-key").Window(topology.Tumbling(10*time.Millisecond).Grace(grace)).
			Reduce("sums", sumOfTwo, topology.Retention(time.Minute)).Final().Stream().To("out")
		return build(t, b)
	}
	d := topologytest.New(t, topo(20*time.Millisecond))
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	output := func() (rows []string) {
		for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, 10*time.Millisecond), serde.Int64).Records() {
			rows = append(rows, fmt.Sprintf("%d=%d", r.Key.Window.Start, r.Value))
		}
		return rows
	}
	for _, at := range []int64{5, 15, 25, 31} {
		input.Send("k", at, time.UnixMilli(at))
	}
	d.Commit()
	if got := output(); !slices.Equal(got, []string{"0=5"}) {
		t.Fatalf("with a grace of 20 ms, %v were sent", got)
	}
	d.RestartWith(topo(5 * time.Millisecond))
	input = topologytest.Input(d, "in", serde.String, serde.Int64)
	input.Send("k", 32, time.UnixMilli(32))
	d.Commit()
	if got := output(); !slices.Equal(got, []string{"0=5", "10=15"}) {
		t.Fatalf("with a grace of 5 ms, %v were sent", got)
	}
	d.RestartWith(topo(40 * time.Millisecond))
	input = topologytest.Input(d, "in", serde.String, serde.Int64)
	input.Send("k", 1, time.UnixMilli(16))
	input.Send("new", 1, time.UnixMilli(16))
	input.Send("k", 100, time.UnixMilli(100))
	d.Commit()
	if got := output(); !slices.Equal(got, []string{"0=5", "10=15", "20=25", "30=63"}) {
		t.Fatalf("with a grace of 40 ms, %v were sent", got)
	}
}

// TestFinalIsAdded: a new version of the program makes a table Final. The rows of windows
// that were closed before have been sent as updates, and are not sent again.
func TestFinalIsAdded(t *testing.T) {
	t.Parallel()
	topo := func(final bool) *topology.Topology {
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.Int64)
		sums := topology.GroupByKey(in, "by-key").Window(topology.Tumbling(10*time.Millisecond)).Reduce("sums", sumOfTwo)
		if final {
			sums = sums.Final()
		}
		sums.Stream().To("out")
		return build(t, b)
	}
	d := topologytest.New(t, topo(false))
	for _, at := range []int64{5, 15} {
		topologytest.Input(d, "in", serde.String, serde.Int64).Send("k", at, time.UnixMilli(at))
	}
	d.RestartWith(topo(true))
	for _, at := range []int64{16, 25} {
		topologytest.Input(d, "in", serde.String, serde.Int64).Send("k", at, time.UnixMilli(at))
	}
	d.Commit()
	var got []string
	for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, 10*time.Millisecond), serde.Int64).Records() {
		got = append(got, fmt.Sprintf("%d=%d", r.Key.Window.Start, r.Value))
	}
	if want := []string{"0=5", "10=15", "10=31"}; !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// The window that reaches beyond the last timestamp there is ends there, and its row is
// sent when that time has come, also after a restart.
func TestFinalAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*topologytest.Driver){"": func(*topologytest.Driver) {}, "restart": (*topologytest.Driver).Restart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			windows := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key").Window(topology.Tumbling(10 * time.Millisecond))
			topology.Map(windows.Count("counts").Final().Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
				return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d until %d", r.Value, r.Key.Window.End), r.Timestamp)
			}, serde.String, serde.String).To("out")
			d := topologytest.New(t, build(t, b))
			d.Send("in", 0, []byte("k"), []byte("v"), math.MaxInt64-2)
			d.Commit()
			again(d)
			d.Send("in", 0, []byte("l"), []byte("v"), math.MaxInt64)
			want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "k=1 until 9223372036854775807")
		})
	}
}

// TestFinalAfterACrashAtEachTime crashes after each record, one of which comes at each
// time: no window is lost, and none is sent twice.
func TestFinalAfterACrashAtEachTime(t *testing.T) {
	t.Parallel()
	for _, c := range finalCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			c.sums(topology.GroupByKey(topology.Source(b, "in", serde.String, serde.Int64), "by-key")).Final().Stream().To("out")
			d := topologytest.New(t, build(t, b))
			input, model := topologytest.Input(d, "in", serde.String, serde.Int64), c.model()
			var want, got []finalRow
			for at := int64(1000); at < 1150; at++ {
				key := "steady"
				if at%50 < 25 { // with pauses, so that sessions end
					key = "other"
				}
				input.Send(key, 1, time.UnixMilli(at))
				want = append(want, model.add(key, at, 1)...)
				d.Crash("sums", 0, []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk}[at%2])
			}
			for _, r := range topologytest.Output(d, "out", c.keys, serde.Int64).Records() {
				got = append(got, finalRow{r.Key.Key, r.Key.Window.Start, r.Key.Window.End, r.Value, int64(r.Timestamp)})
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("rows\n %v, want\n %v", got, want)
			}
		})
	}
}
