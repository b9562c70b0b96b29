// Package windowstoretest is the conformance suite of window stores. Every kind of store
// must pass it.
package windowstoretest

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/windowstore"
)

// Config says how to make a store under test, apart from its kind.
type Config struct {
	Size, Retention  time.Duration
	RetainDuplicates bool
}

// Task opens the store under test and acts as its task. Its methods fail the test if they
// cannot do their work.
type Task interface {
	// Store returns the task's current store. Abort, Restart and LoseDisk replace it.
	Store() windowstore.Store[string, string]
	SetNow(at processor.Timestamp) // sets the timestamp of the next Put
	Commit()
	Abort()    // drops uncommitted changes
	Restart()  // a clean stop and start, without a commit
	LoseDisk() // a start elsewhere: the state comes from the changelog
	Dropped() int

	// Changelog returns the committed changelog records as text, "key/start/seq=value",
	// "key/start/seq" for a deletion.
	Changelog() []string
}

// Run runs the suite. newTask returns a new task with an empty store.
func Run(t *testing.T, newTask func(t testing.TB, c Config) Task) {
	small := Config{Size: 10 * time.Millisecond, Retention: time.Second}
	large := Config{Size: 10 * time.Millisecond, Retention: 100 * time.Second}
	duplicates := small
	duplicates.RetainDuplicates = true
	for name, test := range map[string]struct {
		config Config
		run    func(*testing.T, Task)
	}{
		"commands":                    {small, commands},
		"keys that are prefixes":      {small, prefixes},
		"expiry":                      {large, expiry},
		"deletion of segments":        {large, segments},
		"several segments":            {large, severalSegments},
		"duplicates":                  {duplicates, duplicate},
		"duplicates after a restart":  {duplicates, duplicatesAfterRestart},
		"abort":                       {large, abort},
		"time survives":               {large, timeSurvives},
		"timestamps":                  {small, timestamps},
		"writes in a loop":            {large, writesInALoop},
		"windows before 1970":         {small, negative},
		"late in its own transaction": {large, lateInTransaction},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newTask(t, test.config))
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, k Task, key, value string, start processor.Timestamp) {
	t.Helper()
	check(t, k.Store().Put(key, value, start))
}

// text returns what a range read yields.
func text(t *testing.T, rows iter.Seq2[windowstore.Entry[string, string], error]) string {
	t.Helper()
	var s []byte
	for e, err := range rows {
		check(t, err)
		if len(s) > 0 {
			s = append(s, ' ')
		}
		s = fmt.Appendf(s, "%s@%d-%d=%s", e.Key, int64(e.Start), int64(e.End), e.Value)
	}
	return string(s)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func wantGet(t *testing.T, k Task, key string, start processor.Timestamp, value string) {
	t.Helper()
	v, ok, err := k.Store().Get(key, start)
	check(t, err)
	if v != value || ok != (value != "") {
		t.Errorf("Get(%q, %d) = %q, %v, want %q", key, int64(start), v, ok, value)
	}
}

// each runs f before a commit, after it, and after a restore.
func each(k Task, f func()) {
	f()
	k.Commit()
	f()
	k.LoseDisk()
	f()
}

func commands(t *testing.T, k Task) {
	put(t, k, "a", "1", 0)
	put(t, k, "a", "2", 5)
	put(t, k, "a", "3", 10)
	put(t, k, "b", "4", 5)
	put(t, k, "c", "5", 7)
	each(k, func() {
		s := k.Store()
		wantGet(t, k, "a", 5, "2")
		wantGet(t, k, "a", 6, "")
		want(t, "Fetch", text(t, s.Fetch("a", 0, 10)), "a@0-10=1 a@5-15=2 a@10-20=3")
		want(t, "Fetch inside", text(t, s.Fetch("a", 1, 9)), "a@5-15=2")
		want(t, "Fetch one", text(t, s.Fetch("a", 5, 5)), "a@5-15=2")
		want(t, "Fetch nothing", text(t, s.Fetch("z", 0, 100)), "")
		want(t, "Fetch the wrong way round", text(t, s.Fetch("a", 10, 0)), "")
		want(t, "ReverseFetch", text(t, s.ReverseFetch("a", 0, 10)), "a@10-20=3 a@5-15=2 a@0-10=1")
		want(t, "FetchRange", text(t, s.FetchRange("a", "b", 0, 10)), "a@0-10=1 a@5-15=2 a@10-20=3 b@5-15=4")
		want(t, "ReverseFetchRange", text(t, s.ReverseFetchRange("a", "c", 0, 7)), "c@7-17=5 b@5-15=4 a@5-15=2 a@0-10=1")
		want(t, "FetchAll", text(t, s.FetchAll(5, 7)), "a@5-15=2 b@5-15=4 c@7-17=5")
		want(t, "ReverseFetchAll", text(t, s.ReverseFetchAll(0, 10)), "c@7-17=5 b@5-15=4 a@10-20=3 a@5-15=2 a@0-10=1")
		want(t, "All", text(t, s.All()), "a@0-10=1 a@5-15=2 a@10-20=3 b@5-15=4 c@7-17=5")
		want(t, "ReverseAll", text(t, s.ReverseAll()), "c@7-17=5 b@5-15=4 a@10-20=3 a@5-15=2 a@0-10=1")
	})
	check(t, k.Store().Delete("a", 5))
	put(t, k, "a", "9", 10)
	put(t, k, "ab", "6", 3)
	each(k, func() {
		s := k.Store()
		want(t, "Fetch", text(t, s.Fetch("a", 0, 10)), "a@0-10=1 a@10-20=9")
		want(t, "All", text(t, s.All()), "a@0-10=1 a@10-20=9 ab@3-13=6 b@5-15=4 c@7-17=5")
		want(t, "FetchRange", text(t, s.FetchRange("a", "ab", 0, 10)), "a@0-10=1 a@10-20=9 ab@3-13=6")
		want(t, "FetchAll", text(t, s.FetchAll(0, 4)), "a@0-10=1 ab@3-13=6")
	})
}

// If a key begins with another key, its rows can lie between the rows of the shorter key.
func prefixes(t *testing.T, k Task) {
	keys := []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00\x05", "a\xff", "b"}
	for _, key := range keys {
		put(t, k, key, "x", 5)
		put(t, k, key, "y", 500)
	}
	each(k, func() {
		s := k.Store()
		for i, key := range keys {
			if got := text(t, s.Fetch(key, 0, 1000)); got != fmt.Sprintf("%s@5-15=x %[1]s@500-510=y", key) {
				t.Errorf("Fetch(%q): %q", key, got)
			}
			for j, last := range keys {
				found := map[string]int{}
				for e, err := range s.FetchRange(key, last, 0, 1000) {
					check(t, err)
					found[e.Key]++
				}
				for n, other := range keys {
					if in := n >= i && n <= j; in != (found[other] == 2) || !in && found[other] != 0 {
						t.Errorf("FetchRange(%q, %q) has %d windows of %q", key, last, found[other], other)
					}
				}
			}
		}
	})
}

// The cases are those of store/window-expiry-* in the conformance corpus, with the reads
// that are the same for both kinds of stores there.
func expiry(t *testing.T, k Task) {
	s := k.Store()
	put(t, k, "a", "1", 0)
	put(t, k, "a", "2", 50000)
	put(t, k, "a", "3", 100000)
	want(t, "Fetch", text(t, s.Fetch("a", 0, 200000)), "a@50000-50010=2 a@100000-100010=3")
	put(t, k, "b", "4", 100001)
	want(t, "All", text(t, s.All()), "a@50000-50010=2 a@100000-100010=3 b@100001-100011=4")
	put(t, k, "b", "5", 150000)
	want(t, "All", text(t, s.All()), "a@100000-100010=3 b@100001-100011=4 b@150000-150010=5")
	k.Commit()
	wantGet(t, k, "a", 50000, "")
	wantGet(t, k, "a", 50001, "")
	put(t, k, "a", "late", 50000)
	put(t, k, "a", "late2", 50001)
	put(t, k, "a", "late3", 49999)
	put(t, k, "a", "late4", 1)
	want(t, "Fetch", text(t, s.Fetch("a", 0, 200000)), "a@50001-50011=late2 a@100000-100010=3")
	put(t, k, "b", "6", 260000)
	want(t, "All", text(t, s.All()), "b@260000-260010=6")
	k.Commit()
	put(t, k, "a", "x", 159999)
	put(t, k, "a", "y", 160001)
	each(k, func() {
		want(t, "All", text(t, k.Store().All()), "a@160001-160011=y b@260000-260010=6")
	})
	if k.Dropped() != 4 {
		t.Errorf("%d dropped, want 4", k.Dropped())
	}
	for _, r := range k.Changelog() {
		if slices.Contains([]string{"a/50000/0=late", "a/49999/0=late3", "a/1/0=late4", "a/159999/0=x"}, r) {
			t.Errorf("the changelog has %s, which was dropped", r)
		}
	}
}

// A row that was deleted with its segment does not come back, and live rows stay.
func segments(t *testing.T, k Task) {
	for i := range 50 {
		put(t, k, fmt.Sprint("k", i%3), fmt.Sprint(i), processor.Timestamp(i*10_000))
		if i%4 == 0 {
			k.Commit()
		}
		if i%11 == 0 {
			k.Restart()
			put(t, k, fmt.Sprint("k", i%3), fmt.Sprint(i), processor.Timestamp(i*10_000))
		}
		n := 0
		for e, err := range k.Store().All() {
			check(t, err)
			if int64(e.Start) <= int64(i*10_000-100_000) {
				t.Errorf("at %d the store shows %d", i*10_000, int64(e.Start))
			}
			n++
		}
		if n > 10 {
			t.Errorf("%d rows, want 10 at most", n)
		}
	}
}

func severalSegments(t *testing.T, k Task) {
	put(t, k, "b", "1", 10)
	put(t, k, "a", "2", 70_000)
	put(t, k, "b", "3", 70_001)
	put(t, k, "a", "4", 20)
	each(k, func() {
		s := k.Store()
		want(t, "All", text(t, s.All()), "a@20-30=4 b@10-20=1 a@70000-70010=2 b@70001-70011=3")
		want(t, "ReverseAll", text(t, s.ReverseAll()), "b@70001-70011=3 a@70000-70010=2 b@10-20=1 a@20-30=4")
		want(t, "Fetch", text(t, s.Fetch("b", 0, 80_000)), "b@10-20=1 b@70001-70011=3")
		want(t, "ReverseFetch", text(t, s.ReverseFetch("a", 0, 80_000)), "a@70000-70010=2 a@20-30=4")
		want(t, "FetchRange", text(t, s.FetchRange("a", "b", 20, 70_000)), "a@20-30=4 a@70000-70010=2")
		want(t, "FetchAll", text(t, s.FetchAll(15, 70_000)), "a@20-30=4 a@70000-70010=2")
	})
}

func duplicate(t *testing.T, k Task) {
	put(t, k, "a", "1", 0)
	put(t, k, "a", "2", 0)
	put(t, k, "a", "3", 5)
	check(t, k.Store().Delete("a", 0))
	put(t, k, "b", "x", 3)
	check(t, k.Store().Delete("a", 900_000)) // does not move the store's time
	each(k, func() {
		s := k.Store()
		want(t, "Fetch", text(t, s.Fetch("a", 0, 10)), "a@0-10=1 a@0-10=2 a@5-15=3")
		want(t, "FetchAll", text(t, s.FetchAll(0, 3)), "a@0-10=1 a@0-10=2 b@3-13=x")
		want(t, "ReverseFetch", text(t, s.ReverseFetch("a", 0, 10)), "a@5-15=3 a@0-10=2 a@0-10=1")
		wantGet(t, k, "a", 0, "1")
		wantGet(t, k, "a", 1, "")
	})
	if got, want := k.Changelog(), []string{"a/0/1=1", "a/0/2=2", "a/5/3=3", "a/0/4", "b/3/5=x", "a/900000/6"}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("changelog %q, want %q", got, want)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// Sequence numbers start again after a restart, and must not overwrite existing rows.
func duplicatesAfterRestart(t *testing.T, k Task) {
	for range 3 {
		put(t, k, "a", "x", 7)
		put(t, k, "a", "y", 7)
		k.Commit()
		k.Restart()
		put(t, k, "a", "lost", 7)
		k.Abort()
	}
	k.LoseDisk()
	put(t, k, "a", "z", 7)
	want(t, "Fetch", text(t, k.Store().Fetch("a", 0, 10)), "a@7-17=x a@7-17=y a@7-17=x a@7-17=y a@7-17=x a@7-17=y a@7-17=z")
}

func abort(t *testing.T, k Task) {
	put(t, k, "a", "1", 0)
	put(t, k, "b", "2", 50_000)
	k.Commit()
	put(t, k, "a", "lost", 500_000) // would expire all
	check(t, k.Store().Delete("b", 50_000))
	k.Abort()
	want(t, "All", text(t, k.Store().All()), "a@0-10=1 b@50000-50010=2")
	put(t, k, "c", "3", 60_000)
	k.Commit()
	want(t, "All", text(t, k.Store().All()), "a@0-10=1 b@50000-50010=2 c@60000-60010=3")
}

// The time of the store is part of the committed state.
func timeSurvives(t *testing.T, k Task) {
	put(t, k, "a", "1", 200_000)
	k.Commit()
	check(t, k.Store().Delete("a", 200_000))
	k.Commit()
	for _, start := range []func(){k.Restart, k.Abort, k.LoseDisk} {
		start()
		put(t, k, "a", "late", 100_000)
		wantGet(t, k, "a", 100_000, "")
		want(t, "All", text(t, k.Store().All()), "")
	}
}

func timestamps(t *testing.T, k Task) {
	k.SetNow(77)
	put(t, k, "a", "1", 0)
	check(t, k.Store().PutTimestamped("b", "2", 0, 99))
	if k.Store().PutTimestamped("b", "3", 0, -1) == nil {
		t.Error("a negative timestamp is taken")
	}
	each(k, func() {
		var got []processor.Timestamp
		for e, err := range k.Store().All() {
			check(t, err)
			got = append(got, e.Timestamp)
		}
		if !slices.Equal(got, []processor.Timestamp{77, 99}) {
			t.Errorf("timestamps %v", got)
		}
	})
}

// A loop sees each row as it is when the loop reaches it. It sees no row that its own
// writes have made expire.
func writesInALoop(t *testing.T, k Task) {
	put(t, k, "a", "1", 10)
	put(t, k, "b", "2", 10)
	put(t, k, "c", "3", 50_000)
	put(t, k, "d", "4", 10)
	k.Commit()
	var seen []string
	for e, err := range k.Store().All() {
		check(t, err)
		seen = append(seen, e.Key+e.Value)
		if e.Key == "a" {
			check(t, k.Store().Delete("b", 10))
			put(t, k, "c", "33", 50_000)
			put(t, k, "e", "5", 120_000)
		}
	}
	if want := []string{"a1", "c33"}; !slices.Equal(seen[:2], want) || slices.Contains(seen, "d4") {
		t.Errorf("saw %q, want %q", seen, want)
	}
}

func negative(t *testing.T, k Task) {
	if err := k.Store().Put("a", "1", -1); err == nil {
		t.Error("a window start before 1970 was taken")
	}
	wantGet(t, k, "a", -1, "")
	put(t, k, "a", "1", 0)
	want(t, "Fetch", text(t, k.Store().Fetch("a", -100, 100)), "a@0-10=1")
}

// If a window expires before it was committed, only the changelog has it.
func lateInTransaction(t *testing.T, k Task) {
	put(t, k, "a", "1", 0)
	put(t, k, "a", "2", 1_000_000)
	each(k, func() {
		want(t, "All", text(t, k.Store().All()), "a@1000000-1000010=2")
		wantGet(t, k, "a", 0, "")
	})
}
