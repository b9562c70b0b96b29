package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// timelineWorld is a Timeline over a table that is a list of rows.
type timelineWorld struct {
	t        *Timeline[string]
	budget   *Budget
	table    []timelineRow
	added    []timelineRow // not in the table yet
	flushed  int           // of added
	loads    int
	crowding int64
}

type timelineRow struct {
	key, value string
	at         int64
	seq        uint32
}

func newTimelineWorld(t *testing.T, span, known int64, table ...timelineRow) *timelineWorld {
	shared := NewShared(0)
	t.Cleanup(shared.Close)
	w := &timelineWorld{budget: shared.NewBudget(), table: table, crowding: DefaultMemory}
	w.t = NewTimeline(TimelineConfig[string]{Budget: w.budget, Span: span, Known: known, Load: w.load})
	return w
}

func (w *timelineWorld) load(key []byte, from, to int64, add func(at int64, seq uint32, value string, size int)) error {
	w.loads++
	for _, r := range sortedRows(w.table) {
		if r.key == string(key) && r.at >= from && r.at <= to {
			add(r.at, r.seq, r.value, len(r.value))
		}
	}
	return nil
}

func sortedRows(rows []timelineRow) []timelineRow {
	return slices.SortedStableFunc(slices.Values(rows), func(a, b timelineRow) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.seq) - int(b.seq)
	})
}

func (w *timelineWorld) add(key string, at int64, seq uint32) {
	r := timelineRow{key, fmt.Sprintf("%s%d#%d", key, at, seq), at, seq}
	w.t.Add([]byte(key), at, seq, r.value, len(r.value))
	w.added = append(w.added, r)
}

// commit commits the rows that were added before.
func (w *timelineWorld) commit() {
	w.flush()
	w.table = append(w.table, w.added[:w.flushed]...)
	w.added = slices.Clone(w.added[w.flushed:])
	w.flushed = 0
	w.t.Committed()
}

func (w *timelineWorld) flush() {
	if w.flushed == 0 {
		w.t.Flushed()
		w.flushed = len(w.added)
	}
}

// trim drops the rows that may leave memory.
func (w *timelineWorld) trim() {
	w.budget.Cache(w.crowding)
	w.t.Trim()
	w.budget.Cache(-w.crowding)
}

func (w *timelineWorld) find(t *testing.T, key string, from, to int64) (values []string) {
	t.Helper()
	rows, err := w.t.Find(nil, []byte(key), from, to)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		values = append(values, r.Value)
	}
	return values
}

func (w *timelineWorld) want(key string, from, to int64) (values []string) {
	for _, r := range sortedRows(slices.Concat(w.table, w.added)) {
		if r.key == key && r.at >= from && r.at <= to {
			values = append(values, r.value)
		}
	}
	return values
}

// TestTimelineEvicts: if memory is short, rows that are in the table leave memory, and
// are loaded when they are asked for. Rows that are not in the table stay.
func TestTimelineEvicts(t *testing.T) {
	t.Parallel()
	w := newTimelineWorld(t, 10, -1)
	w.add("a", 5, 1)
	w.add("a", 15, 2)
	w.trim()
	if got := w.find(t, "a", 0, 20); !slices.Equal(got, []string{"a5#1", "a15#2"}) || w.loads != 0 {
		t.Errorf("before the commit: %q, after %d loads", got, w.loads)
	}
	w.flush()
	w.trim()
	if len(w.t.parts) != 2 {
		t.Errorf("%d parts stay while they are committed, want 2", len(w.t.parts))
	}
	w.commit()
	w.add("a", 25, 3)
	w.trim()
	if len(w.t.parts) != 1 {
		t.Errorf("%d parts stay after the commit, want the one that is not committed", len(w.t.parts))
	}
	if got := w.find(t, "a", 0, 30); !slices.Equal(got, []string{"a5#1", "a15#2", "a25#3"}) || w.loads != 2 {
		t.Errorf("after the commit: %q, after %d loads", got, w.loads)
	}
	w.find(t, "a", 0, 30)
	w.find(t, "a", 20, 30)
	if w.loads != 2 {
		t.Errorf("%d loads: each part of a key is to be loaded once", w.loads)
	}
}

// TestTimelineLoadsWhatWasThere: only parts up to the latest row of the table are loaded.
// A row that is added to such a part is found beside the loaded ones.
func TestTimelineLoadsWhatWasThere(t *testing.T) {
	t.Parallel()
	w := newTimelineWorld(t, 10, 12, timelineRow{"a", "old", 12, 1}, timelineRow{"b", "other", 3, 1})
	w.add("a", 11, 2)
	w.add("a", 35, 3)
	if got := w.find(t, "a", 0, 40); !slices.Equal(got, []string{"a11#2", "old", "a35#3"}) || w.loads != 2 {
		t.Errorf("found %q after %d loads, want 2", got, w.loads)
	}
	if got := w.find(t, "a", 12, 12); !slices.Equal(got, []string{"old"}) {
		t.Errorf("found %q at 12", got)
	}
}

// TestTimelineExpires: a part is dropped when all of its time is over. Its memory is used
// again, without its rows. In the end all memory is returned to the budget.
func TestTimelineExpires(t *testing.T) {
	t.Parallel()
	w := newTimelineWorld(t, 10, -1)
	w.add("a", 1, 1)
	w.add("a", 11, 2)
	w.t.Expire(9)
	if len(w.t.parts) != 2 {
		t.Errorf("%d parts before the end of the first one", len(w.t.parts))
	}
	w.t.Expire(10)
	if len(w.t.parts) != 1 || w.t.spare == nil {
		t.Errorf("%d parts after the end of the first one", len(w.t.parts))
	}
	w.add("a", 21, 3)
	if got := w.find(t, "a", 10, 30); !slices.Equal(got, []string{"a11#2", "a21#3"}) {
		t.Errorf("found %q", got)
	}
	if got := w.find(t, "b", 10, 30); got != nil {
		t.Errorf("found %q of another key", got)
	}
	if w.budget.used <= 0 {
		t.Errorf("%d bytes are counted", w.budget.used)
	}
	w.t.Close()
	if w.budget.used != 0 {
		t.Errorf("%d bytes are counted after Close", w.budget.used)
	}
}

// TestTimelineAtTheEndOfTime: a row with the last timestamp there is is found, and
// expires last, whether it is in memory or in the table only.
func TestTimelineAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	const last = math.MaxInt64
	for _, span := range []int64{1, 10, last} {
		w := newTimelineWorld(t, span, last, timelineRow{"a", "old", last, 1}, timelineRow{"a", "before", last - 1, 1})
		if got := w.find(t, "a", last-5, last); !slices.Equal(got, []string{"before", "old"}) {
			t.Errorf("span %d: found %q in the table", span, got)
		}
		w.add("a", last, 2)
		added := fmt.Sprintf("a%d#2", int64(last))
		w.commit()
		w.t.Expire(last)
		if got := w.find(t, "a", last, last); !slices.Equal(got, []string{"old", added}) {
			t.Errorf("span %d: found %q after the rows before had expired", span, got)
		}
		w.trim()
		if got := w.find(t, "a", last, last); !slices.Equal(got, []string{"old", added}) {
			t.Errorf("span %d: found %q after the rows had left memory", span, got)
		}
	}
}

// TestTimelineIsTheModel compares random reads with a list of all rows, over random
// commits, evictions and expirations.
func TestTimelineIsTheModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 50, func(t *testing.T, seed uint64) { timelineLikeTheModel(t, rand.New(rand.NewPCG(seed, 43))) })
}

func timelineLikeTheModel(t *testing.T, r *rand.Rand) {
	w := newTimelineWorld(t, 1+r.Int64N(30), -1)
	now, live := int64(0), int64(0)
	for i := range 300 {
		key := string("abc"[r.IntN(3)])
		switch r.IntN(8) {
		case 0:
			w.flush()
		case 1:
			w.commit()
		case 2:
			w.trim()
		case 3:
			live = max(live, now-50)
			w.t.Expire(live)
		case 4, 5:
			from := max(live, now-r.Int64N(80))
			to := from + r.Int64N(60)
			if got, want := w.find(t, key, from, to), w.want(key, from, to); !slices.Equal(got, want) {
				t.Fatalf("%s from %d to %d: found %q, want %q", key, from, to, got, want)
			}
		default:
			now += r.Int64N(6)
			w.add(key, max(live, now-r.Int64N(40)), uint32(i))
		}
	}
	w.t.Close()
	if w.budget.used != 0 {
		t.Errorf("%d bytes are counted after Close", w.budget.used)
	}
}
