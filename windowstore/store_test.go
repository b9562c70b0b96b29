package windowstore_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/windowstore"
	"github.com/millrace-streams/millrace/windowstore/windowstoretest"
)

type task struct {
	*storetest.Task
	spec    windowstore.Spec[string, string]
	store   windowstore.Store[string, string]
	dropped int
}

func newTask(t testing.TB, spec windowstore.Spec[string, string]) *task {
	k := &task{Task: storetest.New(t, 0), spec: spec}
	k.open()
	return k
}

func (k *task) open() {
	instance := k.Task.Open(k.spec).(processor.Store)
	k.store = windowstore.Open(storetest.Context(instance, &k.dropped), k.spec)
}

func (k *task) Store() windowstore.Store[string, string] { return k.store }
func (k *task) SetNow(at processor.Timestamp)            { k.Task.SetNow(int64(at)) }
func (k *task) Abort()                                   { k.Task.Abort(); k.open() }
func (k *task) Restart()                                 { k.Task.Restart(); k.open() }
func (k *task) LoseDisk()                                { k.Task.LoseDisk(); k.open() }
func (k *task) Dropped() int                             { return k.dropped }

func (k *task) Changelog() []string {
	var s []string
	for _, r := range k.Task.Changelog(k.spec.StoreName()) {
		n := len(r.Key) - 12
		text := fmt.Sprintf("%s/%d/%d", r.Key[:n], binary.BigEndian.Uint64(r.Key[n:]), binary.BigEndian.Uint32(r.Key[n+8:]))
		if r.Value != nil {
			text += "=" + string(r.Value)
		}
		s = append(s, text)
	}
	return s
}

// kinds are the kinds of stores that must behave alike.
var kinds = map[string][]windowstore.Option{"persistent": nil, "in memory": {windowstore.InMemory()}}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			windowstoretest.Run(t, func(t testing.TB, c windowstoretest.Config) windowstoretest.Task {
				opts := slices.Clone(kind)
				if c.RetainDuplicates {
					opts = append(opts, windowstore.RetainDuplicates())
				}
				return newTask(t, windowstore.New("st", serde.String, serde.String, c.Size, c.Retention, opts...))
			})
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	spec := windowstore.New[string, string]("", nil, nil, 0, -1)
	err := spec.(interface{ Validate() error }).Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 5 {
		t.Errorf("Validate: %v", err)
	}
}

func described(t *testing.T, spec processor.StoreSpec) *store.Spec {
	t.Helper()
	s, err := store.Of(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestChangelogIsWindowed(t *testing.T) {
	t.Parallel()
	spec := described(t, windowstore.New("st", serde.String, serde.String, time.Second, time.Minute))
	if got, want := spec.Changelog(), (store.Changelog{Kind: store.WindowedChangelog, RetentionMs: 60_000}); got != want {
		t.Errorf("changelog %+v, want %+v", got, want)
	}
}

// If the time of a store is unknown, the store takes it from its rows. An example is a
// changelog that a Java application has written.
func TestTimeFromRows(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := windowstore.New("st", serde.String, serde.String, time.Second, 100*time.Second, kind...)
			k := storetest.New(t, 0)
			table, err := k.DB.Table("st", described(t, spec).Persistent())
			if err != nil {
				t.Fatal(err)
			}
			b := k.DB.NewBatch()
			for _, start := range []int64{10, 70_000, 130_000, 125_000} {
				key := store.AppendWindowKey(nil, []byte(fmt.Sprint("k", 200_000-start)), start, 0)
				if err := described(t, spec).Restore(b.Table(table), key, engine.Stored{Value: []byte("v"), Timestamp: 1}); err != nil {
					t.Fatal(err)
				}
			}
			if err := k.DB.Apply(b); err != nil {
				t.Fatal(err)
			}
			s := windowstore.Open(k.Processor(spec), spec)
			var starts []int64
			for e, err := range s.All() {
				if err != nil {
					t.Fatal(err)
				}
				starts = append(starts, int64(e.Start))
			}
			slices.Sort(starts)
			if want := []int64{70_000, 125_000, 130_000}; !slices.Equal(starts, want) {
				t.Errorf("starts %v, want %v", starts, want)
			}
		})
	}
}

// operatorStore is the part of a store that windowed operators use.
type operatorStore interface {
	Cells() *engine.Cells[string, int64]
	AppendKey(dst, key []byte, start int64) []byte
	Start(cellKey []byte) int64
	Observe(start int64)
}

// An operator reads and writes expired windows until their segment is deleted at a
// commit.
func TestOperatorsSeeWhatTheyNeed(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := windowstore.New("st", serde.String, serde.Int64, time.Second, time.Minute, kind...)
			k := storetest.New(t, 0)
			instance := k.Open(spec)
			s := instance.(operatorStore)
			cellKey := func(start int64) []byte { return s.AppendKey(nil, []byte("a"), start) }
			starts := []int64{20_000, 40_000, 70_000, 500_000}
			want := func(want ...int64) {
				t.Helper()
				var got []int64
				for _, start := range starts {
					cell, err := s.Cells().Get(cellKey(start))
					if err != nil {
						t.Fatal(err)
					}
					if cell != nil {
						got = append(got, s.Start(cell.KeyBytes()))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("windows %v, want %v", got, want)
				}
			}
			// The last put is late.
			for _, start := range []int64{20_000, 70_000, 500_000, 40_000} {
				s.Observe(start)
				if _, err := s.Cells().Put(cellKey(start), "a", start, true, 0, engine.Origin{}); err != nil {
					t.Fatal(err)
				}
			}
			want(starts...)
			k.Commit()
			want(500_000)
			if rows := k.Rows("st"); len(rows) != 1 {
				t.Errorf("%d rows are left", len(rows))
			}
			for e, err := range windowstore.Open(storetest.Context(instance.(processor.Store), new(int)), spec).All() {
				if err != nil || e.Start != 500_000 {
					t.Errorf("All yields %v, %v", e, err)
				}
			}
		})
	}
}

// A store behaves like a sorted map under random operations, commits, aborts, crashes and
// restores.
func TestEqualsModel(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/every=%v", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 6, func(t *testing.T, seed uint64) {
					runModel(t, seed, every, kind)
				})
			})
		}
	}
}

const retention = 150_000

type window struct {
	segment int64
	key     string
	start   int64
}

func (w window) compare(v window) int {
	if w.segment != v.segment {
		return int(w.segment - v.segment)
	}
	return strings.Compare(string(store.AppendWindowKey(nil, []byte(w.key), w.start, 0)), string(store.AppendWindowKey(nil, []byte(v.key), v.start, 0)))
}

// model is a naive window store: a map.
type model struct {
	rows map[window]string
	time int64
}

func (m model) clone() model { return model{maps.Clone(m.rows), m.time} }

func (m *model) put(w window, v string, present bool) {
	m.time = max(m.time, w.start)
	switch {
	case w.start <= m.time-retention:
	case present:
		m.rows[w] = v
	default:
		delete(m.rows, w)
	}
}

func (m *model) sorted(in func(window) bool) []string {
	var found []window
	for w := range m.rows {
		if w.start > m.time-retention && in(w) {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, window.compare)
	var s []string
	for _, w := range found {
		s = append(s, fmt.Sprintf("%s@%d=%s", w.key, w.start, m.rows[w]))
	}
	return s
}

func runModel(t *testing.T, seed uint64, every bool, kind []windowstore.Option) {
	r := rand.New(rand.NewPCG(seed, 4))
	k := newTask(t, windowstore.New("st", serde.String, serde.String, time.Second, retention*time.Millisecond, kind...))
	k.EveryUpdate = every
	k.Task.Abort()
	k.open()
	layout := store.NewWindowLayout(store.SegmentInterval(retention))
	committed, begun, live := model{map[window]string{}, -1}, model{}, model{map[window]string{}, -1}
	back := func() {
		live = committed.clone()
		k.open()
	}
	now := int64(0)
	for i := range 1500 {
		now += r.Int64N(2000)
		if r.IntN(300) == 0 {
			now += r.Int64N(200_000)
		}
		w := window{key: strings.Repeat("\x00", r.IntN(3)) + fmt.Sprint(r.IntN(4)), start: max(0, now-r.Int64N(200_000)) / 500 * 500}
		w.segment = w.start / layout.Interval
		start := processor.Timestamp(w.start)
		switch n := r.IntN(1000); {
		case n < 500:
			v := fmt.Sprint(seed, "-", i)
			if err := k.store.Put(w.key, v, start); err != nil {
				t.Fatal(err)
			}
			live.put(w, v, true)
		case n < 600:
			if err := k.store.Delete(w.key, start); err != nil {
				t.Fatal(err)
			}
			live.put(w, "", false)
		case n < 750:
			v, ok, err := k.store.Get(w.key, start)
			want, had := live.rows[w]
			if w.start <= live.time-retention {
				want, had = "", false
			}
			if err != nil || ok != had || v != want {
				t.Fatalf("seed %d step %d: Get(%v) = %q, %v, %v; want %q, %v", seed, i, w, v, ok, err, want, had)
			}
		case n < 900:
			compareFetch(t, r, k.store, &live, w)
		case n < 960:
			if !k.Begun() {
				k.Begin()
				begun = live.clone()
			} else {
				k.Finish()
				committed = begun
			}
		case n < 970:
			k.Task.Abort()
			back()
		case n < 980:
			k.Task.Restart()
			back()
		case n < 990:
			confirmed := k.Begun() && r.IntN(2) == 0
			if confirmed {
				committed = begun
			}
			k.Task.Crash(r, r.IntN(101), confirmed)
			back()
		case n < 993:
			k.Task.LoseDisk()
			back()
		}
	}
}

func compareFetch(t *testing.T, r *rand.Rand, s windowstore.Store[string, string], m *model, w window) {
	t.Helper()
	from := w.start
	to := from + r.Int64N(200_000)
	inTime := func(v window) bool { return v.start >= from && v.start <= to }
	last := fmt.Sprint(r.IntN(4))
	f, l := processor.Timestamp(from), processor.Timestamp(to)
	var forward, backward []string
	var in func(window) bool
	var what string
	switch r.IntN(4) {
	case 0:
		what, in = "Fetch", func(v window) bool { return inTime(v) && v.key == w.key }
		forward, backward = rows(t, s.Fetch(w.key, f, l)), rows(t, s.ReverseFetch(w.key, f, l))
	case 1:
		what, in = "FetchRange", func(v window) bool { return inTime(v) && v.key >= w.key && v.key <= last }
		forward, backward = rows(t, s.FetchRange(w.key, last, f, l)), rows(t, s.ReverseFetchRange(w.key, last, f, l))
	case 2:
		what, in = "FetchAll", inTime
		forward, backward = rows(t, s.FetchAll(f, l)), rows(t, s.ReverseFetchAll(f, l))
	default:
		what, in = "All", func(window) bool { return true }
		forward, backward = rows(t, s.All()), rows(t, s.ReverseAll())
	}
	slices.Reverse(backward)
	if want := m.sorted(in); !slices.Equal(forward, want) || !slices.Equal(backward, want) {
		t.Fatalf("%s(%q, %q, %d, %d) at %d:\nforward  %q\nbackward %q\nwant     %q", what, w.key, last, from, to, m.time, forward, backward, want)
	}
}

func rows(t *testing.T, seq func(func(windowstore.Entry[string, string], error) bool)) []string {
	t.Helper()
	var s []string
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, fmt.Sprintf("%s@%d=%s", e.Key, int64(e.Start), e.Value))
	}
	return s
}

func TestWindowsWithoutEnd(t *testing.T) {
	t.Parallel()
	k := newTask(t, windowstore.New("st", serde.String, serde.String, math.MaxInt64, math.MaxInt64))
	if err := k.store.Put("a", "1", 5); err != nil {
		t.Fatal(err)
	}
	for e, err := range k.store.All() {
		if err != nil || e.Start != 5 || e.End != math.MaxInt64 {
			t.Errorf("the window is %d-%d, %v", e.Start, e.End, err)
		}
	}
}

// A put of an expired row leaves no trace. A later version of the program with a longer
// retention therefore shows the same rows, with the disk and without it.
func TestExpiredPutsWithALongerRetention(t *testing.T) {
	t.Parallel()
	short := windowstore.New("st", serde.String, serde.String, time.Second, time.Minute)
	long := windowstore.New("st", serde.String, serde.String, time.Second, time.Hour)
	for name, again := range map[string]func(*task){"with the disk": (*task).Restart, "without the disk": (*task).LoseDisk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newTask(t, short)
			for i, start := range []processor.Timestamp{100_000, 39_000, 161_000, 100_500, 101_500} {
				if err := k.Store().Put("a", fmt.Sprint(i), start); err != nil {
					t.Fatal(err)
				}
				k.Commit()
			}
			k.spec = long
			again(k)
			var got []string
			for e, err := range k.Store().All() {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%d=%s", int64(e.Start), e.Value))
			}
			if want := []string{"100000=0", "101500=4", "161000=2"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
