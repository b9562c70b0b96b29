package state_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/state"
)

const ms = time.Millisecond

func TestTTLIsChecked(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[time.Duration]string{
		0: "must be positive", -time.Second: "must be positive", time.Microsecond: "whole number of milliseconds",
	} {
		err := state.KeyValue("st", text{}, text{}, state.TTL(ttl)).(interface{ Validate() error }).Validate()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "store st: TTL(") {
			t.Errorf("TTL(%v): Validate: %v", ttl, err)
		}
	}
}

// A row that has expired is not found, and the commit logs its deletion with the time at
// which it has expired. A row that was renewed stays.
func TestTTLLogsDeletions(t *testing.T) {
	t.Parallel()
	k := newTask(t, state.KeyValue("st", text{}, text{}, state.TTL(100*ms)))
	put := func(now int64, key string) {
		t.Helper()
		k.Task.SetNow(now)
		if err := k.store.Put(key, fmt.Sprint(now)); err != nil {
			t.Fatal(err)
		}
	}
	put(0, "a")
	put(10, "b")
	k.Commit()
	put(50, "a")
	k.Commit()
	put(110, "c")
	put(20, "d") // late by 10 ms less than its life
	put(10, "e") // its life is over
	if _, ok, err := k.store.Get("b"); ok || err != nil {
		t.Errorf("Get of an expired row: %v, %v", ok, err)
	}
	if got, want := keysOf(t, k.store), "a c d"; got != want {
		t.Errorf("keys %q, want %q", got, want)
	}
	k.Commit()
	if want, got := []string{"a=0@0", "b=10@10", "a=50@50", "c=110@110", "d=20@20", "b@110"}, k.Changelog(); !slices.Equal(got, want) {
		t.Errorf("changelog %q, want %q", got, want)
	}
	k.Task.SetNow(500)
	if v, had, err := k.store.Delete("a"); v != "" || had || err != nil {
		t.Errorf("Delete of an expired row: %q, %v, %v", v, had, err)
	}
	if v, had, err := k.store.PutIfAbsent("c", "new"); v != "" || had || err != nil {
		t.Errorf("PutIfAbsent of an expired row: %q, %v, %v", v, had, err)
	}
}

func keysOf(t *testing.T, s state.KeyValueStore[string, string]) string {
	t.Helper()
	var keys []string
	for e, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	return strings.Join(keys, " ")
}

// ttlModel is the naive store: it looks at every row.
type ttlModel struct {
	ttl             int64
	rows, committed map[string]modelRow
}

func (m *ttlModel) live(now int64) map[string]string {
	live := map[string]string{}
	for key, row := range m.rows {
		if row.at+m.ttl > now {
			live[key] = fmt.Sprintf("%s@%d", row.value, row.at)
		}
	}
	return live
}

// A store with a TTL has the rows of a model, over commits, aborts, restarts, crashes,
// lost disks, changes of the TTL, and timestamps that are out of order. After a commit,
// the disk and the changelog have them too.
func TestTTLEqualsModel(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]state.Option{
		"persistent": nil, "in memory": {state.InMemory()}, "every update": {state.EveryUpdate()}, "most rows": {state.MostRows(1000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
				runTTL(t, seed, opts)
			})
		})
	}
}

// anyTTL returns a TTL in ms. If it is long, a segment of the index has several rows.
func anyTTL(r *rand.Rand) int64 { return 1 + r.Int64N([]int64{400, 20_000}[r.IntN(2)]) }

func runTTL(t *testing.T, seed uint64, opts []state.Option) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5))
	m := &ttlModel{ttl: anyTTL(r), rows: map[string]modelRow{}, committed: map[string]modelRow{}}
	spec := func() state.Spec[string, string] {
		return state.KeyValue("st", text{}, text{}, append(slices.Clone(opts), state.TTL(time.Duration(m.ttl)*ms))...)
	}
	k := newTask(t, spec())
	reopen := func(do func()) {
		if r.IntN(4) == 0 { // another version of the program
			m.ttl = anyTTL(r)
			k.spec = spec()
		}
		do()
		m.rows = maps.Clone(m.committed)
	}
	for n := range 200 {
		key := string(rune('a' + r.IntN(8)))
		switch r.IntN(32) {
		case 0, 1, 2, 10, 11, 12:
			k.Commit()
			m.commit(t, k, seed, n)
		case 3:
			reopen(k.Abort)
		case 4:
			reopen(k.Restart)
		case 5:
			reopen(k.LoseDisk)
		case 6:
			reopen(func() { k.Task.Crash(r, r.IntN(101), false); k.open() })
		case 7:
			// Kafka has confirmed the commit, and the disk has not got it.
			k.Begin()
			m.begin(k)
			reopen(func() { k.Task.Crash(r, r.IntN(101), true); k.open() })
		case 8:
			if _, _, err := k.store.Delete(key); err != nil {
				t.Fatal(err)
			}
			delete(m.rows, key)
		case 9:
			k.Begin()
			m.begin(k)
			m.put(t, k, r, key, n)
			k.Finish()
		default:
			m.put(t, k, r, key, n)
		}
		if now := k.StreamTime(); now >= 0 {
			m.check(t, k, now, fmt.Sprintf("seed %d, step %d", seed, n))
		}
	}
}

// put puts a row. Some timestamps are out of order, and some jump.
func (m *ttlModel) put(t *testing.T, k *task, r *rand.Rand, key string, n int) {
	t.Helper()
	at := k.StreamTime()
	switch r.IntN(10) {
	case 0:
		at += r.Int64N(3 * m.ttl)
	case 1: // about when a row expires
		if rows := slices.Sorted(maps.Keys(m.rows)); len(rows) > 0 {
			at = max(at, m.rows[rows[r.IntN(len(rows))]].at+m.ttl-1+r.Int64N(3))
		}
	case 2:
		at -= r.Int64N(m.ttl + m.ttl/4 + 1)
	case 3:
		at -= m.ttl - r.Int64N(1+m.ttl/20)
	case 4, 5:
		at += r.Int64N(1 + m.ttl/8)
	default:
		at += r.Int64N(1 + m.ttl/300)
	}
	at = max(at, 0)
	k.Task.SetNow(at)
	if err := k.store.Put(key, fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	if at+m.ttl > k.StreamTime() {
		m.rows[key] = modelRow{key, fmt.Sprint(n), at}
	}
}

// check compares what the processor sees.
func (m *ttlModel) check(t *testing.T, k *task, now int64, where string) {
	t.Helper()
	want, got := m.live(now), map[string]string{}
	for e, err := range k.store.All() {
		if err != nil {
			t.Fatal(err)
		}
		got[e.Key] = fmt.Sprintf("%s@%d", e.Value, int64(e.Timestamp))
	}
	if !maps.Equal(got, want) {
		t.Fatalf("%s, TTL %d, stream time %d: rows %v, want %v", where, m.ttl, now, got, want)
	}
	for key := 'a'; key < 'i'; key++ {
		if _, ok, err := k.store.Get(string(key)); err != nil || ok != (want[string(key)] != "") {
			t.Fatalf("%s: Get(%c): %v, %v", where, key, ok, err)
		}
	}
}

// begin deletes the rows that have expired, as a commit does.
func (m *ttlModel) begin(k *task) {
	for key, row := range m.rows {
		if row.at+m.ttl <= k.StreamTime() {
			delete(m.rows, key)
		}
	}
	m.committed = maps.Clone(m.rows)
}

// commit compares what a commit has left on the disk and in the changelog.
func (m *ttlModel) commit(t *testing.T, k *task, seed uint64, n int) {
	t.Helper()
	m.begin(k)
	want := m.live(k.StreamTime())
	if got := k.Rows("st"); !maps.Equal(got, want) {
		t.Fatalf("seed %d, step %d: committed rows %v, want %v", seed, n, got, want)
	}
	logged := map[string]string{}
	for _, rec := range k.Task.Changelog("st") {
		delete(logged, string(rec.Key))
		if rec.Value != nil {
			logged[string(rec.Key)] = fmt.Sprintf("%s@%d", rec.Value, rec.Timestamp)
		}
	}
	if !maps.Equal(logged, want) {
		t.Fatalf("seed %d, step %d: the changelog has %v, want %v", seed, n, logged, want)
	}
}
