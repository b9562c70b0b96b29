// Package versionedstoretest is the conformance suite of versioned stores. Every kind of
// store must pass it.
package versionedstoretest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/versionedstore"
)

// Task opens the store under test and acts as its task. Its methods fail the test if they
// cannot do their work.
type Task interface {
	// Store returns the task's current store. Abort, Restart and LoseDisk replace it.
	Store() versionedstore.Store[string, string]
	Commit()
	Abort()    // drops uncommitted changes
	Restart()  // a clean stop and start, without a commit
	LoseDisk() // a start elsewhere: the state comes from the changelog
	Dropped() int

	// Changelog returns the committed changelog records as text, "key=value@time",
	// "key@time" for a deletion.
	Changelog() []string
}

// Run runs the suite. newTask returns a new task with an empty store.
func Run(t *testing.T, newTask func(t testing.TB, history time.Duration) Task) {
	for name, test := range map[string]struct {
		history time.Duration
		run     func(*testing.T, Task)
	}{
		"versions":                  {time.Minute, versionsInOrder},
		"out of order":              {time.Minute, outOfOrder},
		"deletions":                 {time.Minute, deletions},
		"deleted before it came":    {time.Minute, deletedFirst},
		"deletion in the past":      {time.Minute, deletionInThePast},
		"deletion at the same time": {time.Minute, sameTime},
		"history":                   {100 * time.Second, history},
		"segments":                  {100 * time.Second, segments},
		"keys that are prefixes":    {time.Minute, prefixes},
		"abort":                     {time.Minute, abort},
		"the newest is last":        {time.Minute, newestIsLast},
		"one commit":                {time.Minute, oneCommit},
		"negative times":            {time.Minute, negative},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newTask(t, test.history))
		})
	}
}

const none = processor.Timestamp(-1)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put puts a version, and checks that it ends at to.
func put(t *testing.T, k Task, key, value string, from, to processor.Timestamp) {
	t.Helper()
	end, kept, err := k.Store().Put(key, value, from)
	check(t, err)
	if kept != (to != none) || kept && end != to {
		t.Errorf("Put(%s, %s, %d) ends at %d, kept %v; want %d", key, value, from, end, kept, to)
	}
}

func del(t *testing.T, k Task, key string, from processor.Timestamp) {
	t.Helper()
	_, _, err := k.Store().Delete(key, from)
	check(t, err)
}

// asOf checks the values at the given times, before and after a commit, a restart and a
// lost disk. "" stands for no value.
func asOf(t *testing.T, k Task, key string, want map[processor.Timestamp]string) {
	t.Helper()
	for _, step := range []struct {
		name string
		do   func()
	}{{"before the commit", func() {}}, {"after the commit", k.Commit}, {"after a restart", k.Restart}, {"after a lost disk", k.LoseDisk}} {
		step.do()
		for at, value := range want {
			v, ok, err := k.Store().GetAsOf(key, at)
			check(t, err)
			if ok != (value != "") || v.Value != value || ok && (v.From > at || v.To <= at && at != versionedstore.NoEnd) {
				t.Errorf("%s: %s as of %d is %+v, %v; want %q", step.name, key, at, v, ok, value)
			}
		}
	}
}

const newest = versionedstore.NoEnd

func versionsInOrder(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	put(t, k, "a", "2", 20, newest)
	put(t, k, "a", "3", 30, newest)
	put(t, k, "a", "3b", 30, newest)
	asOf(t, k, "a", map[processor.Timestamp]string{9: "", 10: "1", 19: "1", 20: "2", 29: "2", 30: "3b", newest: "3b"})
}

func outOfOrder(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	put(t, k, "a", "3", 30, newest)
	put(t, k, "a", "2", 20, 30)
	put(t, k, "a", "0", 5, 10)
	put(t, k, "a", "2b", 20, 30)
	put(t, k, "a", "1.5", 15, 20)
	asOf(t, k, "a", map[processor.Timestamp]string{4: "", 5: "0", 9: "0", 10: "1", 15: "1.5", 20: "2b", 30: "3"})
	put(t, k, "a", "late", 25, 30)
	asOf(t, k, "a", map[processor.Timestamp]string{24: "2b", 25: "late", 30: "3"})
}

func deletions(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	v, ok, err := k.Store().Delete("a", 20)
	check(t, err)
	if !ok || v.Value != "1" || v.From != 10 {
		t.Errorf("Delete returned %+v, %v", v, ok)
	}
	put(t, k, "a", "2", 30, newest)
	asOf(t, k, "a", map[processor.Timestamp]string{9: "", 10: "1", 19: "1", 20: "", 29: "", 30: "2"})
	del(t, k, "a", 40)
	put(t, k, "a", "3", 35, 40)
	put(t, k, "a", "x", 25, 30)
	asOf(t, k, "a", map[processor.Timestamp]string{20: "", 25: "x", 29: "x", 30: "2", 35: "3", 40: "", newest: ""})
}

func deletedFirst(t *testing.T, k Task) {
	del(t, k, "a", 50)
	k.Commit()
	put(t, k, "a", "1", 10, 50)
	asOf(t, k, "a", map[processor.Timestamp]string{9: "", 10: "1", 49: "1", 50: "", newest: ""})
	put(t, k, "a", "2", 50, newest)
	asOf(t, k, "a", map[processor.Timestamp]string{49: "1", 50: "2", newest: "2"})
}

func deletionInThePast(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	put(t, k, "a", "2", 40, newest)
	del(t, k, "a", 20)
	asOf(t, k, "a", map[processor.Timestamp]string{10: "1", 19: "1", 20: "", 39: "", 40: "2"})
	del(t, k, "a", 30)
	put(t, k, "a", "x", 25, 30)
	asOf(t, k, "a", map[processor.Timestamp]string{20: "", 25: "x", 29: "x", 30: "", 40: "2"})
	del(t, k, "a", 10)
	put(t, k, "a", "0", 5, 10)
	asOf(t, k, "a", map[processor.Timestamp]string{5: "0", 9: "0", 10: "", 20: "", 25: "x"})
}

func sameTime(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	put(t, k, "a", "2", 20, newest)
	del(t, k, "a", 20)
	put(t, k, "a", "x", 15, 20)
	asOf(t, k, "a", map[processor.Timestamp]string{10: "1", 15: "x", 19: "x", 20: "", newest: ""})
	put(t, k, "b", "1", 10, newest)
	del(t, k, "b", 10)
	put(t, k, "b", "0", 5, 10)
	asOf(t, k, "b", map[processor.Timestamp]string{5: "0", 9: "0", 10: "", newest: ""})
}

func history(t *testing.T, k Task) {
	put(t, k, "a", "1", 0, newest)
	put(t, k, "a", "2", 60_000, newest)
	put(t, k, "a", "3", 120_000, newest)
	put(t, k, "b", "x", 160_000, newest)
	if n := k.Dropped(); n != 0 {
		t.Errorf("%d were dropped", n)
	}
	put(t, k, "a", "old", 59_999, none)
	if n := k.Dropped(); n != 1 {
		t.Errorf("%d were dropped", n)
	}
	put(t, k, "a", "2b", 60_000, 120_000)
	asOf(t, k, "a", map[processor.Timestamp]string{59_999: "", 60_000: "2b", 119_999: "2b", 120_000: "3"})
	put(t, k, "b", "y", 1_000_000, newest)
	asOf(t, k, "a", map[processor.Timestamp]string{119_999: "", 120_000: "3", 900_000: "3", newest: "3"})
	put(t, k, "c", "late", 899_999, none)
	put(t, k, "c", "in time", 900_000, newest)
	asOf(t, k, "c", map[processor.Timestamp]string{899_999: "", 900_000: "in time"})
}

func segments(t *testing.T, k Task) {
	for i := range processor.Timestamp(20) {
		put(t, k, "a", fmt.Sprint(int64(i)), i*30_000, newest)
		if i%3 == 0 {
			k.Commit()
		}
	}
	asOf(t, k, "a", map[processor.Timestamp]string{0: "", 469_999: "", 470_000: "15", 480_000: "16", 569_999: "18", 570_000: "19"})
	put(t, k, "a", "x", 475_000, 480_000)
	asOf(t, k, "a", map[processor.Timestamp]string{474_999: "15", 475_000: "x", 480_000: "16"})
}

func prefixes(t *testing.T, k Task) {
	keys := []string{"", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00\x0b", "ab", "\xff"}
	for i, key := range keys {
		put(t, k, key, fmt.Sprint(i, "-1"), 10, newest)
		put(t, k, key, fmt.Sprint(i, "-2"), 20, newest)
	}
	for i, key := range keys {
		asOf(t, k, key, map[processor.Timestamp]string{9: "", 15: fmt.Sprint(i, "-1"), 20: fmt.Sprint(i, "-2")})
	}
}

func abort(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	put(t, k, "a", "2", 20, newest)
	k.Commit()
	put(t, k, "a", "3", 30, newest)
	put(t, k, "a", "x", 15, 20)
	del(t, k, "a", 5)
	k.Abort()
	asOf(t, k, "a", map[processor.Timestamp]string{9: "", 10: "1", 15: "1", 20: "2", newest: "2"})
}

// The last record of a key in the changelog is that of its newest version.
func newestIsLast(t *testing.T, k Task) {
	put(t, k, "a", "2", 20, newest)
	k.Commit()
	put(t, k, "a", "1", 10, 20)
	k.Commit()
	put(t, k, "a", "old", 5, 10)
	put(t, k, "a", "3", 30, newest)
	k.Commit()
	del(t, k, "a", 40)
	k.Commit()
	put(t, k, "a", "late", 35, 40)
	k.Commit()
	want := []string{"a=2@20", "a=1@10", "a=2@20", "a=old@5", "a=3@30", "a@40", "a=late@35", "a@40"}
	if got := k.Changelog(); !slices.Equal(got, want) {
		t.Errorf("changelog %q, want %q", got, want)
	}
}

// All versions of one commit are logged, the newest one last. If several have the same
// beginning, only the last one is logged.
func oneCommit(t *testing.T, k Task) {
	put(t, k, "a", "1", 10, newest)
	put(t, k, "a", "1b", 10, newest)
	del(t, k, "a", 20)
	put(t, k, "a", "3", 30, newest)
	put(t, k, "a", "2", 25, 30)
	put(t, k, "b", "1", 1, newest)
	del(t, k, "b", 2)
	k.Commit()
	want := []string{"a=1b@10", "a@20", "a=2@25", "b=1@1", "a=3@30", "b@2"}
	if got := k.Changelog(); !slices.Equal(got, want) {
		t.Errorf("changelog %q, want %q", got, want)
	}
	asOf(t, k, "a", map[processor.Timestamp]string{9: "", 10: "1b", 20: "", 25: "2", 30: "3"})
}

func negative(t *testing.T, k Task) {
	if _, _, err := k.Store().Put("a", "1", -1); err == nil {
		t.Error("a negative time was taken")
	}
}
