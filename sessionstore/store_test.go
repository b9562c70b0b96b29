package sessionstore_test

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
)

const retention = 100 * time.Second

// kinds are the kinds of stores that must behave alike.
var kinds = map[string][]sessionstore.Option{"persistent": nil, "in memory": {sessionstore.InMemory()}}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// texts returns sessions as "key start..end=value".
func texts(t testing.TB, rows iter.Seq2[sessionstore.Entry[string, string], error]) (out []string) {
	t.Helper()
	for e, err := range rows {
		check(t, err)
		out = append(out, fmt.Sprintf("%s %d..%d=%s", e.Key, e.Start, e.End, e.Value))
	}
	return out
}

func expect(t testing.TB, rows iter.Seq2[sessionstore.Entry[string, string], error], want ...string) {
	t.Helper()
	if got := texts(t, rows); !slices.Equal(got, want) {
		t.Errorf("sessions %q, want %q", got, want)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := storetest.New(t, 0)
			spec := sessionstore.New("st", serde.String, serde.String, retention, opts...)
			s := sessionstore.Open(task.Processor(spec), spec)
			check(t, s.Put("a", "1", 0, 5))
			check(t, s.Put("a", "2", 10, 20))
			check(t, s.Put("aa", "3", 3, 4))
			task.Commit()
			check(t, s.Put("a", "4", 30, 30))
			check(t, s.Put("b", "5", 8, 12))

			expect(t, s.Find("a", 5, 10), "a 0..5=1", "a 10..20=2")
			expect(t, s.Find("a", 6, 9))
			expect(t, s.ReverseFind("a", 0, 100), "a 30..30=4", "a 10..20=2", "a 0..5=1")
			expect(t, s.FindRange("a", "aa", 4, 4), "a 0..5=1", "aa 3..4=3")
			expect(t, s.ReverseFindRange("aa", "b", 0, 100), "b 8..12=5", "aa 3..4=3")
			expect(t, s.FindAll(11, 12), "a 10..20=2", "b 8..12=5")
			expect(t, s.ReverseFindAll(11, 12), "b 8..12=5", "a 10..20=2")
			if v, ok, err := s.Get("a", 10, 20); v != "2" || !ok || err != nil {
				t.Errorf("Get: %q, %v, %v", v, ok, err)
			}
			if _, ok, err := s.Get("a", 10, 19); ok || err != nil {
				t.Errorf("Get of another session: %v, %v", ok, err)
			}
			check(t, s.Delete("a", 10, 20))
			expect(t, s.Find("a", 0, math.MaxInt64), "a 0..5=1", "a 30..30=4")
		})
	}
}

func TestBadBounds(t *testing.T) {
	t.Parallel()
	spec := sessionstore.New("st", serde.String, serde.String, retention)
	s := sessionstore.Open(storetest.New(t, 0).Processor(spec), spec)
	for _, c := range []struct {
		start, end processor.Timestamp
		want       string
	}{{-1, 5, "before 1970"}, {6, 5, "before its start"}} {
		if err := s.Put("a", "v", c.start, c.end); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("put from %d to %d: %v, want an error with %q", c.start, c.end, err, c.want)
		}
	}
	expect(t, s.FindAll(0, math.MaxInt64))
}

func TestBadSpec(t *testing.T) {
	t.Parallel()
	spec := sessionstore.New[string, string]("", nil, nil, 1500*time.Microsecond)
	err := spec.(interface{ Validate() error }).Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("Validate: %v", err)
	}
}

// model is a naive session store.
type model struct {
	rows map[session]string
	time int64
}

type session struct {
	key        string
	start, end int64
}

func (m *model) put(s session, value string) {
	m.time = max(m.time, s.end)
	if s.end > m.time-retention.Milliseconds() {
		m.rows[s] = value
	}
}

func (m *model) find(key string, from, to int64) (out []string) {
	for s, v := range m.rows {
		if s.end > m.time-retention.Milliseconds() && s.key == key && s.end >= from && s.start <= to {
			out = append(out, fmt.Sprintf("%s %d..%d=%s", s.key, s.start, s.end, v))
		}
	}
	slices.Sort(out)
	return out
}

// TestEqualsModel compares a store with the model: over commits, aborts, restarts and
// lost disks.
func TestEqualsModel(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
				compare(t, seed, sessionstore.New("st", serde.String, serde.String, retention, opts...))
			})
		})
	}
}

func compare(t *testing.T, seed uint64, spec sessionstore.Spec[string, string]) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	task := storetest.New(t, 0)
	s := sessionstore.Open(task.Processor(spec), spec)
	now := &model{rows: map[session]string{}, time: -1}
	committed := &model{rows: map[session]string{}, time: -1}
	copyOf := func(m *model) *model { return &model{maps.Clone(m.rows), m.time} }
	keys := []string{"a", "aa", "b"}
	for i := range 120 {
		start := int64(i*4000 + r.IntN(60_000))
		x := session{keys[r.IntN(len(keys))], start, start + int64(r.IntN(20_000))}
		switch r.IntN(12) {
		case 0:
			task.Commit()
			committed = copyOf(now)
		case 1:
			lose := []func(){task.Abort, task.Restart, task.LoseDisk}[r.IntN(3)]
			lose()
			now, s = copyOf(committed), sessionstore.Open(task.Processor(spec), spec)
		case 2:
			for y := range now.rows {
				check(t, s.Delete(y.key, processor.Timestamp(y.start), processor.Timestamp(y.end)))
				now.time = max(now.time, y.end)
				delete(now.rows, y)
				break
			}
		default:
			check(t, s.Put(x.key, fmt.Sprint(i), processor.Timestamp(x.start), processor.Timestamp(x.end)))
			now.put(x, fmt.Sprint(i))
		}
		from := x.start - int64(r.IntN(100_000))
		got := texts(t, s.Find(x.key, processor.Timestamp(from), processor.Timestamp(x.end)))
		slices.Sort(got)
		if want := now.find(x.key, from, x.end); !slices.Equal(got, want) {
			t.Fatalf("seed %d, step %d: %s from %d to %d: %q, want %q", seed, i, x.key, from, x.end, got, want)
		}
	}
}
