package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func reopen(t *testing.T, path string) *journal {
	t.Helper()
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	return j
}

func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "files")
	j := reopen(t, path)
	odd := "/d/two\nlines \xff"
	for _, err := range []error{j.finish("/d/a", odd), j.advance("/d/b", 7), j.advance("/d/b", 70), j.advance("/d/c", 1), j.finish("/d/c")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	j.close()
	// An entry that a kill has truncated is ignored, and does not damage the next one.
	for range 2 {
		tear(t, path, "-1 \"/d/b")
		j = reopen(t, path)
		if err := j.finish("/d/e"); err != nil {
			t.Fatal(err)
		}
		j.close()
	}

	j = reopen(t, path)
	for path, want := range map[string]bool{"/d/a": true, odd: true, "/d/b": false, "/d/c": true, "/d/d": false, "/d/e": true} {
		if j.finished(path) != want {
			t.Errorf("finished(%q) is %v", path, !want)
		}
	}
	if got := j.position("/d/b"); got != 70 {
		t.Errorf("position of b is %d, want 70", got)
	}
	if got := j.position("/d/d"); got != 0 {
		t.Errorf("position of d is %d, want 0", got)
	}
}

func TestJournalDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "files")
	tear(t, path, "-1 \"/d/a\"\nnonsense\n")
	if _, err := openJournal(path); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error is %v, want one that names line 2", err)
	}
}

// tear appends to a file.
func tear(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
