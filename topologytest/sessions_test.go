package topologytest_test

import (
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

// sessionModel keeps every record of every session.
type sessionModel struct {
	streamTime int64
	sessions   map[string][][]sessionRecord // by key
	total      int64                        // of the values that are not late
}

type sessionRecord struct{ at, value int64 }

// add adds a record, unless it is late.
func (m *sessionModel) add(key string, at, value int64) {
	m.streamTime = max(m.streamTime, at)
	m.addAt(m.streamTime, m.streamTime-sessionRetention, key, at, value)
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

// sessionTotals is a topology with the sums of sessions, and the sum of all of them.
func sessionTotals(t *testing.T, opts ...topology.WindowedTableOption) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	sessions := topology.GroupByKey(in, "by-key").Sessions(sessionGap*time.Millisecond).Grace(sessionGrace*time.Millisecond).
		Reduce("sums", sumOfTwo, opts...)
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
	for name, opts := range map[string][]topology.WindowedTableOption{
		"merged": nil, "every update": {topology.EveryUpdate()}, "in memory": {topology.InMemory()},
	} {
		topo := sessionTotals(t, opts...)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
				runSessions(t, topo, seed)
			})
		})
	}
}

func runSessions(t *testing.T, topo *topology.Topology, seed uint64) {
	t.Helper()
	d := topologytest.New(t, topo, topologytest.CommitInterval(20*time.Millisecond), topologytest.Start(start))
	r := rand.New(rand.NewPCG(seed, 0))
	model := &sessionModel{sessions: map[string][][]sessionRecord{}, streamTime: -1}
	records := topologytest.Input(d, "in", serde.String, serde.Int64)
	keys, pace := 1+r.IntN(3), 1+r.IntN(6)
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	jumps := 0
	for i := range 150 {
		key, value := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9))
		if r.IntN(50) == 0 {
			// To the point where sessions expire.
			jumps += sessionRetention + r.IntN(60) - 50
		}
		at := start.Add(time.Duration(jumps+i*pace+r.IntN(60)-40) * time.Millisecond)
		records.Send(key, value, at)
		model.add(key, at.UnixMilli(), value)
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
