// Package statetest is the conformance suite of key-value stores. Every kind of store
// must pass it.
package statetest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/state"
)

// Task opens the store under test and acts as its task. Its methods fail the test if they
// cannot do their work.
type Task interface {
	// Store returns the task's current store. Abort, Restart and LoseDisk replace it.
	Store() state.KeyValueStore[string, string]
	SetNow(at processor.Timestamp) // sets the timestamp of the next Put
	Commit()
	Abort()    // drops uncommitted changes
	Restart()  // a clean stop and start, without a commit
	LoseDisk() // a start elsewhere: the state comes from the changelog

	// Changelog returns the committed changelog records as text: "key=value@timestamp",
	// or "key@timestamp" for a deletion.
	Changelog() []string
}

// Run runs the suite. newTask returns a new task with an empty store.
func Run(t *testing.T, newTask func(t testing.TB) Task) {
	for name, test := range map[string]func(*testing.T, Task){
		"read your writes":    readYourWrites,
		"ranges":              ranges,
		"ranges with commits": rangesWithCommits,
		"writes in a loop":    writesInALoop,
		"timestamps":          timestamps,
		"merged changelog":    mergedChangelog,
		"abort":               abort,
		"restart":             restart,
		"lost disk":           lostDisk,
		"early end of a loop": earlyEnd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newTask(t))
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, k Task, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		check(t, k.Store().Put(pairs[i], pairs[i+1]))
	}
}

// text returns what a range read yields.
func text(t *testing.T, rows iter.Seq2[state.Entry[string, string], error]) string {
	t.Helper()
	var s []byte
	for e, err := range rows {
		check(t, err)
		if len(s) > 0 {
			s = append(s, ' ')
		}
		s = fmt.Appendf(s, "%s=%s", e.Key, e.Value)
	}
	return string(s)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func wantGet(t *testing.T, k Task, key, value string) {
	t.Helper()
	v, ok, err := k.Store().Get(key)
	check(t, err)
	if v != value || ok != (value != "") {
		t.Errorf("Get(%q) = %q, %v, want %q", key, v, ok, value)
	}
}

func readYourWrites(t *testing.T, k Task) {
	s := k.Store()
	wantGet(t, k, "a", "")
	put(t, k, "a", "1")
	wantGet(t, k, "a", "1")
	put(t, k, "a", "2")
	wantGet(t, k, "a", "2")
	v, ok, err := s.PutIfAbsent("a", "3")
	check(t, err)
	if v != "2" || !ok {
		t.Errorf("PutIfAbsent of a present key = %q, %v", v, ok)
	}
	v, ok, err = s.PutIfAbsent("b", "4")
	check(t, err)
	if v != "" || ok {
		t.Errorf("PutIfAbsent of an absent key = %q, %v", v, ok)
	}
	wantGet(t, k, "b", "4")
	k.Commit()
	wantGet(t, k, "a", "2")
	v, ok, err = s.Delete("a")
	check(t, err)
	if v != "2" || !ok {
		t.Errorf("Delete = %q, %v", v, ok)
	}
	v, ok, err = s.Delete("a")
	check(t, err)
	if v != "" || ok {
		t.Errorf("second Delete = %q, %v", v, ok)
	}
	wantGet(t, k, "a", "")
	k.Commit()
	wantGet(t, k, "a", "")
	put(t, k, "a", "5")
	wantGet(t, k, "a", "5")
	put(t, k, "", "empty key")
	wantGet(t, k, "", "empty key")
}

func wantRanges(t *testing.T, k Task) {
	t.Helper()
	s := k.Store()
	want(t, "All", text(t, s.All()), "Z=z a=1 aa=11 b=2 c=3 é=u")
	want(t, "ReverseAll", text(t, s.ReverseAll()), "é=u c=3 b=2 aa=11 a=1 Z=z")
	want(t, "Range", text(t, s.Range("a", "b")), "a=1 aa=11 b=2")
	want(t, "ReverseRange", text(t, s.ReverseRange("a", "b")), "b=2 aa=11 a=1")
	want(t, "Range of one", text(t, s.Range("aa", "aa")), "aa=11")
	want(t, "Range the wrong way round", text(t, s.Range("b", "a")), "")
	want(t, "Range between rows", text(t, s.Range("ab", "az")), "")
	want(t, "From", text(t, s.From("b")), "b=2 c=3 é=u")
	want(t, "ReverseFrom", text(t, s.ReverseFrom("b")), "é=u c=3 b=2")
	want(t, "To", text(t, s.To("aa")), "Z=z a=1 aa=11")
	want(t, "ReverseTo", text(t, s.ReverseTo("aa")), "aa=11 a=1 Z=z")
	want(t, "PrefixScan", text(t, s.PrefixScan([]byte("a"))), "a=1 aa=11")
	want(t, "PrefixScan of nothing", text(t, s.PrefixScan([]byte("x"))), "")
	want(t, "PrefixScan of all", text(t, s.PrefixScan(nil)), "Z=z a=1 aa=11 b=2 c=3 é=u")
}

func ranges(t *testing.T, k Task) {
	put(t, k, "b", "2", "a", "1", "c", "3", "aa", "11", "é", "u", "Z", "z")
	wantRanges(t, k)
	k.Commit()
	wantRanges(t, k)
}

func rangesWithCommits(t *testing.T, k Task) {
	put(t, k, "b", "old", "c", "3", "d", "gone", "Z", "z")
	k.Commit()
	put(t, k, "b", "2", "a", "1", "aa", "11", "é", "u", "e", "never")
	for _, key := range []string{"d", "e"} {
		_, _, err := k.Store().Delete(key)
		check(t, err)
	}
	wantRanges(t, k)
	k.Commit()
	wantRanges(t, k)
	k.Restart()
	wantRanges(t, k)
}

// A loop sees each row as it is when the loop reaches it, committed or not.
func writesInALoop(t *testing.T, k Task) {
	put(t, k, "a", "1", "c", "3", "e", "5")
	k.Commit()
	put(t, k, "b", "2", "d", "4")
	var seen []string
	for e, err := range k.Store().All() {
		check(t, err)
		seen = append(seen, e.Key+"="+e.Value)
		switch e.Key {
		case "a":
			_, _, err := k.Store().Delete("c")
			check(t, err)
			put(t, k, "d", "44", "bb", "22", "a", "9", "A", "0")
		case "d":
			put(t, k, "e", "55", "f", "6", "d", "444")
		}
	}
	if want := []string{"a=1", "b=2", "bb=22", "d=44", "e=55", "f=6"}; !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
	seen = nil
	for e, err := range k.Store().ReverseAll() {
		check(t, err)
		seen = append(seen, e.Key)
		_, _, err := k.Store().Delete(e.Key)
		check(t, err)
		if e.Key == "d" {
			put(t, k, "c", "3", "g", "7")
		}
	}
	if want := []string{"f", "e", "d", "c", "bb", "b", "a", "A"}; !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
	want(t, "what is left", text(t, k.Store().All()), "g=7")
}

func timestamps(t *testing.T, k Task) {
	k.SetNow(7)
	put(t, k, "a", "1")
	check(t, k.Store().PutTimestamped("b", "2", 50))
	check(t, k.Store().PutTimestamped("b", "3", 40))
	if k.Store().PutTimestamped("b", "4", -1) == nil {
		t.Error("a negative timestamp is taken")
	}
	for range 2 {
		for key, at := range map[string]processor.Timestamp{"a": 7, "b": 40} {
			if _, got, _, err := k.Store().GetTimestamped(key); err != nil || got != at {
				t.Errorf("timestamp of %s: %d, want %d (%v)", key, got, at, err)
			}
		}
		k.Commit()
	}
	for e, err := range k.Store().Range("b", "b") {
		check(t, err)
		if e.Timestamp != 40 {
			t.Errorf("timestamp in a range: %d", e.Timestamp)
		}
	}
}

// Between two commits the changelog gets one record per key, in the order of the first
// change.
func mergedChangelog(t *testing.T, k Task) {
	k.SetNow(1)
	put(t, k, "a", "1", "b", "1", "a", "2")
	k.SetNow(2)
	put(t, k, "c", "1", "a", "3")
	_, _, err := k.Store().Delete("c")
	check(t, err)
	k.Commit()
	put(t, k, "a", "4")
	k.Commit()
	k.Commit()
	if got, want := k.Changelog(), []string{"a=3@2", "b=1@1", "c@2", "a=4@2"}; !slices.Equal(got, want) {
		t.Errorf("changelog %q, want %q", got, want)
	}
}

func abort(t *testing.T, k Task) {
	put(t, k, "a", "1", "b", "2")
	k.Commit()
	put(t, k, "a", "lost", "c", "lost")
	_, _, err := k.Store().Delete("b")
	check(t, err)
	k.Abort()
	want(t, "All after an abort", text(t, k.Store().All()), "a=1 b=2")
	wantGet(t, k, "c", "")
	put(t, k, "c", "3")
	k.Commit()
	want(t, "All after the next commit", text(t, k.Store().All()), "a=1 b=2 c=3")
}

func restart(t *testing.T, k Task) {
	put(t, k, "a", "1", "b", "2")
	k.Commit()
	put(t, k, "a", "lost")
	k.Restart()
	want(t, "All after a restart", text(t, k.Store().All()), "a=1 b=2")
}

func lostDisk(t *testing.T, k Task) {
	k.SetNow(9)
	put(t, k, "a", "1", "b", "2", "c", "3", "", "4")
	k.Commit()
	_, _, err := k.Store().Delete("b")
	check(t, err)
	put(t, k, "c", "")
	k.Commit()
	put(t, k, "a", "lost")
	k.LoseDisk()
	want(t, "All after a restore", text(t, k.Store().All()), "=4 a=1 c=")
	if _, at, ok, err := k.Store().GetTimestamped("a"); at != 9 || !ok || err != nil {
		t.Errorf("timestamp after a restore: %d, %v, %v", at, ok, err)
	}
}

func earlyEnd(t *testing.T, k Task) {
	put(t, k, "a", "1", "b", "2", "c", "3")
	k.Commit()
	put(t, k, "d", "4")
	for range 3 {
		for e, err := range k.Store().All() {
			check(t, err)
			if e.Key == "b" {
				break
			}
		}
	}
	if err := stop(k.Store().All()); !errors.Is(err, errStop) {
		t.Error(err)
	}
}

var errStop = errors.New("stop")

func stop(rows iter.Seq2[state.Entry[string, string], error]) error {
	for range rows {
		return errStop
	}
	return nil
}
