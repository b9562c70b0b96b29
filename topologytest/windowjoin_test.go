package topologytest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/jointest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

var kindsOfJoins = map[jointest.Kind]string{jointest.Inner: "inner", jointest.Left: "left", jointest.Outer: "outer"}

// joinTopology joins the topics left and right as a model does.
func joinTopology(t *testing.T, m *jointest.Join, opts ...topology.JoinWindowOption) *topology.Topology {
	b := topology.New()
	left := topology.Source(b, "left", serde.String, serde.String)
	right := topology.Source(b, "right", serde.String, serde.String)
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	w := topology.Within(0).Before(ms(m.Before)).After(ms(m.After)).Grace(ms(m.Grace))
	text := func(v string, ok bool) string {
		if !ok {
			return "null"
		}
		return v
	}
	joined := map[jointest.Kind]func() topology.Stream[string, string]{
		jointest.Inner: func() topology.Stream[string, string] {
			return topology.JoinWindow(left, right, "joined", w, func(l, r string) string { return l + "+" + r }, serde.String, opts...)
		},
		jointest.Left: func() topology.Stream[string, string] {
			return topology.LeftJoinWindow(left, right, "joined", w, func(l, r string, ok bool) string { return l + "+" + text(r, ok) }, serde.String, opts...)
		},
		jointest.Outer: func() topology.Stream[string, string] {
			return topology.OuterJoinWindow(left, right, "joined", w, func(l string, lok bool, r string, rok bool) string {
				return text(l, lok) + "+" + text(r, rok)
			}, serde.String, opts...)
		},
	}[m.Kind]()
	joined.To("out")
	return build(t, b)
}

// TestWindowJoinsAreTheModel joins random records, out of order within the grace and
// beyond it, and compares each result with a naive model. It varies the commit interval,
// EveryUpdate and the kind of storage, and restarts and crashes with kept, old and lost
// disks.
func TestWindowJoinsAreTheModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
		for kind, name := range kindsOfJoins {
			r := rand.New(rand.NewPCG(seed, 23))
			m := &jointest.Join{Kind: kind, Before: int64(r.IntN(40)), After: 1 + int64(r.IntN(40)), Grace: int64(r.IntN(3) * r.IntN(30))}
			if r.IntN(4) == 0 {
				m.Before = -m.After / 2
			}
			if !joinLikeTheModel(t, r, m) {
				t.Fatalf("%s join, before %d, after %d, grace %d", name, m.Before, m.After, m.Grace)
			}
		}
	})
}

// joinLikeTheModel joins random records, and reports whether the model has the same
// results.
func joinLikeTheModel(t *testing.T, r *rand.Rand, m *jointest.Join) bool {
	opts := []topologytest.Option{topologytest.CommitInterval(time.Hour)}
	if r.IntN(2) == 0 {
		opts = append(opts, topologytest.EveryUpdate())
	}
	var stores []topology.JoinWindowOption
	if r.IntN(3) == 0 {
		stores = append(stores, topology.InMemory())
	}
	d := topologytest.New(t, joinTopology(t, m, stores...), opts...)
	var want []jointest.Output
	now := int64(r.IntN(200_000)) // anywhere in a segment
	for i := range 150 {
		now += int64(r.IntN(15))
		if r.IntN(40) == 0 {
			now += 60_000 // the next segment
		}
		in := randomRecord(r, now, fmt.Sprint(i))
		topic := "left"
		if in.Right {
			topic = "right"
		}
		d.Send(topic, 0, in.Key, in.Value, processor.Timestamp(in.At))
		m.Add(in)
		want = append(want, m.Out...)
		if r.IntN(8) == 0 {
			d.Commit()
			stop(d, r)
		}
	}
	d.Commit()
	return sameOutputs(t, d.Topic("out"), want)
}

func randomRecord(r *rand.Rand, now int64, value string) jointest.Record {
	in := jointest.Record{Right: r.IntN(2) == 0, Key: []byte{byte('a' + r.IntN(3))}, Value: []byte(value), At: now}
	switch r.IntN(6) {
	case 0:
		in.At = max(0, now-int64(r.IntN(30)))
	case 1:
		in.At = max(0, now-int64(r.IntN(200)))
	}
	switch r.IntN(30) {
	case 0:
		in.Key = nil
	case 1:
		in.Value = nil
	}
	return in
}

// stop ends the tasks after a commit in one of several ways, or not at all.
func stop(d *topologytest.Driver, r *rand.Rand) {
	switch r.IntN(8) {
	case 0:
		d.Restart()
	case 1:
		d.Crash("joined", 0, topologytest.KeepDisk)
	case 2:
		d.Crash("joined", 0, topologytest.LoseDisk)
	case 3:
		d.Crash("joined", 0, topologytest.StaleDisk)
	}
}

func sameOutputs(t *testing.T, got []topologytest.Record, want []jointest.Output) bool {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = fmt.Sprintf("%s:%s@%d", got[i].Key, got[i].Value, int64(got[i].Timestamp))
		}
		if i < len(want) {
			w = fmt.Sprintf("%s:%s@%d", want[i].Key, want[i].Value, want[i].At)
		}
		if g != w {
			t.Errorf("result %d is %q, want %q", i, g, w)
			return false
		}
	}
	return true
}

// A record with the last timestamp there is finds its partner with the same timestamp,
// also after a restart, with and without the disk.
func TestWindowJoinAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*topologytest.Driver){
		"":               func(*topologytest.Driver) {},
		"restart":        (*topologytest.Driver).Restart,
		"without a disk": func(d *topologytest.Driver) { d.CrashAll(topologytest.LoseDisk) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, joinTopology(t, &jointest.Join{Kind: jointest.Inner, Before: 5, After: 5}))
			d.Send("left", 0, []byte("k"), []byte("l"), math.MaxInt64)
			d.Commit()
			again(d)
			d.Send("right", 0, []byte("k"), []byte("r"), math.MaxInt64)
			want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "k=l+r")
		})
	}
}
