package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder is a directory whose looks the test triggers.
type folder struct {
	*kafka
	path, journal string
	dir           *directory
	to            *sender
}

func newFolder(t *testing.T, files ...string) *folder {
	t.Helper()
	f := &folder{kafka: newKafka(t), path: t.TempDir(), journal: filepath.Join(t.TempDir(), "files")}
	for _, name := range files {
		f.write(t, name, "old\n")
	}
	f.restart(t)
	return f
}

// restart behaves like a program that is restarted with the same state directory.
func (f *folder) restart(t *testing.T) {
	t.Helper()
	if f.dir != nil {
		f.dir.journal.close()
	}
	dir, err := openDirectory(f.path, f.journal, f.log)
	if err != nil {
		t.Fatal(err)
	}
	f.dir, f.to = dir, &sender{client: f.client, log: f.log, stop: func() {}}
	t.Cleanup(dir.journal.close)
}

func (f *folder) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.path, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f *folder) look(t *testing.T, ctx context.Context, times int) {
	t.Helper()
	for range times {
		if err := f.dir.look(ctx, f.to); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *folder) want(t *testing.T, want ...string) {
	t.Helper()
	if got := f.lines(t); !slices.Equal(got, want) {
		t.Errorf("lines are %.100q, want %q", got, want)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	f := newFolder(t, "old.txt")
	f.write(t, "a.txt", "a1\na2\r\nü")
	f.write(t, ".hidden", "hidden\n")
	if err := os.Mkdir(filepath.Join(f.path, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.look(t, t.Context(), 1)
	f.want(t) // not known to be complete

	f.write(t, "a.txt", "a1\na2\r\nü\na4")
	f.look(t, t.Context(), 1)
	f.want(t) // it has changed

	f.look(t, t.Context(), 3)
	f.want(t, "a1", "a2", "a4", "ü")

	f.write(t, "a.txt", "something else\n")
	f.write(t, "empty.txt", "")
	f.look(t, t.Context(), 2)
	f.want(t, "a1", "a2", "a4", "ü")
}

// TestDirectoryRestart: a restarted program reads the files that arrived while it was
// down, and none twice.
func TestDirectoryRestart(t *testing.T) {
	t.Parallel()
	f := newFolder(t, "old.txt")
	f.write(t, "a.txt", "a\n")
	f.look(t, t.Context(), 2)
	f.write(t, "b.txt", "b\n")
	f.look(t, t.Context(), 1)
	f.restart(t)
	f.write(t, "c.txt", "c\n")
	f.look(t, t.Context(), 2)
	f.want(t, "a", "b", "c")
}

// TestDirectoryEndsInAFile: if the program ends while it reads a file, it later continues
// where it stopped.
func TestDirectoryEndsInAFile(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write(t, "a.txt", "a1\na2\na3\na4\n")
	file, err := os.Open(filepath.Join(f.path, "a.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx := &endsAfter{Context: t.Context(), calls: 2}
	if err := f.dir.send(ctx, file, f.to); err != nil {
		t.Fatal(err)
	}
	f.want(t, "a1", "a2")
	f.restart(t)
	f.look(t, t.Context(), 2)
	f.want(t, "a1", "a2", "a3", "a4")
}

// endsAfter is a context that ends after a number of calls of Err.
type endsAfter struct {
	context.Context
	calls int
}

func (c *endsAfter) Err() error {
	if c.calls--; c.calls >= 0 {
		return nil
	}
	return context.Canceled
}

// TestDirectoryCheckpoints: the position in a long file is recorded part by part.
func TestDirectoryCheckpoints(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	line := strings.Repeat("x", maxLine)
	f.write(t, "long.txt", strings.Repeat(line+"\n", 10))
	f.look(t, t.Context(), 2)
	if got := f.lines(t); len(got) != 10 {
		t.Errorf("%d lines, want 10", len(got))
	}
	notes, err := os.ReadFile(f.journal)
	if err != nil {
		t.Fatal(err)
	}
	if part := "9000009 "; !strings.Contains(string(notes), part) {
		t.Errorf("the journal has no position %s:\n%s", part, notes)
	}
}

// TestDirectoryBadFile: a file that cannot be read is reported once, and does not block
// other files.
func TestDirectoryBadFile(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write(t, "a.txt", "a\n")
	f.write(t, "b.txt", "b\n")
	path := filepath.Join(f.path, "a.txt")
	f.dir.journal.positions[path] = 1 << 62 // no file system can seek there
	f.look(t, t.Context(), 5)
	f.want(t, "b")
	if got := strings.Count(f.said.Text(), "left alone until it changes"); got != 1 {
		t.Errorf("reported %d times, want once:\n%s", got, f.said.Text())
	}
	delete(f.dir.journal.positions, path)
	f.write(t, "a.txt", "changed\n")
	f.look(t, t.Context(), 2)
	f.want(t, "b", "changed")
}

func TestDirectoryMissing(t *testing.T) {
	t.Parallel()
	_, err := openDirectory(filepath.Join(t.TempDir(), "missing"), filepath.Join(t.TempDir(), "files"), nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}
