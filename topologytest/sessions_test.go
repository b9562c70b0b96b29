package topologytest_test

import (
	"cmp"
	"fmt"
	"maps"
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
	sessionGap   = 10 // ms
	sessionGrace = 7

	// sessionRetention is the default retention of the sessions: see topology.Sessions.
	sessionRetention = 2*sessionGap + sessionGrace + 60_000
)

// sessionModel keeps every record of every session. Times are in ms, or in a unit with
// which the retention is given.
type sessionModel struct {
	streamTime int64
	retention  int64                        // 0: sessionRetention
	sessions   map[string][][]sessionRecord // by key
	total      int64                        // of the values that are not late
}

type sessionRecord struct{ at, value int64 }

// add adds a record, unless it is late.
func (m *sessionModel) add(key string, at, value int64) {
	m.streamTime = max(m.streamTime, at)
	m.addAt(m.streamTime, m.streamTime-cmp.Or(m.retention, sessionRetention), key, at, value)
}

// addAt adds a record, unless it is late at the time late. Sessions that end at the time
// expired, or before, are not merged.
func (m *sessionModel) addAt(late, expired int64, key string, at, value int64) {
	mine := []sessionRecord{{at, value}}
	var rest [][]sessionRecord
	for _, s := range m.sessions[key] {
		near := slices.ContainsFunc(s, func(r sessionRecord) bool { return max(r.at-at, at-r.at) <= sessionGap })
		if _, end := span(s); near && end > expired {
			mine = append(mine, s...)
		} else {
			rest = append(rest, s)
		}
	}
	if _, end := span(mine); end < late-sessionGrace-sessionGap {
		return
	}
	m.total += value
	m.sessions[key] = append(rest, mine)
}

func span(s []sessionRecord) (start, end int64) {
	start, end = s[0].at, s[0].at
	for _, r := range s {
		start, end = min(start, r.at), max(end, r.at)
	}
	return start, end
}

// sums returns the sum of each session, by key and session.
func (m *sessionModel) sums() map[string]int64 {
	out := map[string]int64{}
	for key, sessions := range m.sessions {
		for _, s := range sessions {
			start, end := span(s)
			sum := int64(0)
			for _, r := range s {
				sum += r.value
			}
			out[sessionName(serde.Windowed[string]{Key: key, Window: serde.Window{Start: start, End: end}})] = sum
		}
	}
	return out
}

func sessionName(k serde.Windowed[string]) string {
	return fmt.Sprintf("%s %d..%d", k.Key, k.Window.Start, k.Window.End)
}

func sumOfTwo(a, b int64) int64 { return a + b }

// sessionTotals is a topology with the sums of sessions, and the sum of all of them. unit
// is that of the gap and the grace.
func sessionTotals(t *testing.T, unit time.Duration, opts ...topology.WindowedTableOption) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	sessions := topology.GroupByKey(in, "by-key").Sessions(sessionGap*unit).Grace(sessionGrace*unit).Reduce("sums", sumOfTwo, opts...)
	sessions.Stream().To("out")
	all := topology.GroupTable(sessions.Table, "all", func(int64) string { return "all" }, serde.String)
	total := topology.AggregateTable(all, "total", func() int64 { return 0 },
		func(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value },
		func(sum int64, r processor.Record[string, int64]) int64 { return sum - r.Value }, serde.Int64)
	total.Stream().To("totals")
	return build(t, b)
}

// TestSessionsAreThoseOfTheModel compares sessions with a naive model. Records are out of
// order and some are late, commits come at any time, and crashes leave every kind of
// disk.
func TestSessionsAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		unit time.Duration
		late int // by how many units a record may be late, and more
		opts []topology.WindowedTableOption
	}{
		"merged":       {time.Millisecond, 40, nil},
		"every update": {time.Millisecond, 40, []topology.WindowedTableOption{topology.EveryUpdate()}},
		"in memory":    {time.Millisecond, 40, []topology.WindowedTableOption{topology.InMemory()}},
		// Some sessions last longer than the retention. A record before an open
		// session may touch one that has expired.
		"long": {2 * time.Second, 100, nil},
	} {
		topo := sessionTotals(t, c.unit, c.opts...)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
				runSessions(t, topo, c.unit, c.late, seed)
			})
		})
	}
}

func runSessions(t *testing.T, topo *topology.Topology, unit time.Duration, late int, seed uint64) {
	t.Helper()
	d := topologytest.New(t, topo, topologytest.CommitInterval(20*time.Millisecond), topologytest.Start(start))
	r := rand.New(rand.NewPCG(seed, 0))
	retention := 2*sessionGap + sessionGrace + int(time.Minute/unit) // in units
	model := &sessionModel{sessions: map[string][][]sessionRecord{}, streamTime: -1, retention: int64(retention)}
	records := topologytest.Input(d, "in", serde.String, serde.Int64)
	keys, pace := 1+r.IntN(3), 1+r.IntN(6)
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	jumps := 0
	for i := range 150 {
		key, value := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9))
		if r.IntN(50) == 0 {
			// To the point where sessions expire.
			jumps += retention + r.IntN(60) - 50
		}
		at := start.Add(time.Duration(jumps+i*pace+r.IntN(late+20)-late) * unit)
		records.Send(key, value, at)
		model.add(key, at.UnixMilli()/unit.Milliseconds(), value)
		d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
		if r.IntN(25) == 0 {
			d.CrashAll(disks[r.IntN(len(disks))])
		}
	}
	d.Commit()
	got := map[string]int64{}
	for _, r := range topologytest.Output(d, "out", serde.SessionWindowed(serde.String), serde.Int64).Records() {
		if int64(r.Timestamp) != r.Key.Window.End {
			t.Fatalf("seed %d: session %s has the timestamp %d", seed, sessionName(r.Key), r.Timestamp)
		}
		r.Key.Window.Start /= unit.Milliseconds()
		r.Key.Window.End /= unit.Milliseconds()
		if r.NoValue {
			delete(got, sessionName(r.Key))
		} else {
			got[sessionName(r.Key)] = r.Value
		}
	}
	if want := model.sums(); !maps.Equal(got, want) {
		t.Fatalf("seed %d: sessions\n %v, want\n %v", seed, got, want)
	}
	total := int64(0)
	for _, r := range topologytest.Output(d, "totals", serde.String, serde.Int64).Records() {
		total = r.Value
	}
	if total != model.total {
		t.Fatalf("seed %d: all sessions together are %d, want %d", seed, total, model.total)
	}
}

// TestExpiredSessionIsNotAbsorbed: a late record lies between an open session and one
// that ended long ago. It makes one session of both until the stream time is later than
// the end of the first by the retention.
func TestExpiredSessionIsNotAbsorbed(t *testing.T) {
	t.Parallel()
	const retention = 85_000 // two gaps of 10 s, a grace of 5 s, and a minute
	for newest, last := range map[int64]string{
		30_000 + retention - 1: "30000 114999 11",
		30_000 + retention:     "38000 115000 10",
	} {
		d := topologytest.New(t, countsVersion(t, "sessions", shortGrace))
		send := func(at int64) { d.Send("in", 0, []byte("k"), []byte("v"), processor.Timestamp(at)) }
		send(30_000)
		for at := int64(45_000); at < newest; at += 9000 {
			send(at)
		}
		send(newest)
		send(38_000)
		all := d.Topic("out")
		if got := string(all[len(all)-1].Value); got != last {
			t.Errorf("at %d: got %q, want %q", newest, got, last)
		}
	}
}
