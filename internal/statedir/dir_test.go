package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func mustOpen(t *testing.T, stateDir, app string) *Dir {
	t.Helper()
	d, err := Open(stateDir, app)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIdentitySurvives(t *testing.T) {
	t.Parallel()
	stateDir := filepath.Join(t.TempDir(), "not", "there", "yet")
	d := mustOpen(t, stateDir, "app")
	id := d.ProcessID()
	if u, err := uuid.Parse(id); err != nil || u.Version() != 4 {
		t.Fatalf("process ID %q: %v, want a random UUID", id, err)
	}
	if d.Path() != filepath.Join(stateDir, "app") {
		t.Errorf("path %s", d.Path())
	}
	if _, _, found := d.Topology(); found || len(d.TransactionalIDs()) > 0 {
		t.Error("a new directory knows a topology or transactional IDs")
	}
	mustDo(t, d.RecordTransactionalID("app-x-1", "app-x-0"))
	mustDo(t, d.RecordTransactionalID("app-x-0"))
	mustDo(t, d.RecordTransactionalID("app-x-2"))
	mustDo(t, d.SetTopology("f", []byte{0, 255, '"'}))
	mustDo(t, d.Close())
	mustDo(t, d.Close())

	d = mustOpen(t, stateDir, "app")
	if d.ProcessID() != id {
		t.Errorf("process ID %s became %s", id, d.ProcessID())
	}
	if got := d.TransactionalIDs(); !slices.Equal(got, []string{"app-x-1", "app-x-0", "app-x-2"}) {
		t.Errorf("transactional IDs %v", got)
	}
	if fingerprint, description, found := d.Topology(); !found || fingerprint != "f" || !slices.Equal(description, []byte{0, 255, '"'}) {
		t.Errorf("topology %q %v %v", fingerprint, description, found)
	}
	if other := mustOpen(t, stateDir, "app2"); other.ProcessID() == id {
		t.Error("two applications have one process ID")
	}
}

func TestReturnedSlicesAreCopies(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), "app")
	description := []byte("d")
	mustDo(t, d.SetTopology("f", description))
	mustDo(t, d.RecordTransactionalID("a"))
	description[0] = 'x'
	d.TransactionalIDs()[0] = "x"
	_, got, _ := d.Topology()
	got[0] = 'y'
	if _, got, _ := d.Topology(); string(got) != "d" || d.TransactionalIDs()[0] != "a" {
		t.Error("the caller's changes reach the directory")
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), "app")
	mustDo(t, d.Close())
	for name, err := range map[string]error{
		"record": d.RecordTransactionalID("x"), "topology": d.SetTopology("f", nil), "destroy": d.Destroy("0_0"),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v, want os.ErrClosed", name, err)
		}
	}
}

func TestApplicationIDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, id := range []string{"", ".", "..", "a/b", `a\b`, "a b", "ä", "a:b", strings.Repeat("a", 250)} {
		if d, err := Open(dir, id); err == nil {
			d.Close()
			t.Errorf("%q was accepted", id)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("refused IDs left %v", entries)
	}
	mustOpen(t, dir, "Tweets.v2_x-1")
}

func TestNotWritable(t *testing.T) {
	t.Parallel()
	if os.Getuid() <= 0 || runtime.GOOS == "windows" {
		t.Skip("permissions do not bind this user")
	}
	dir := t.TempDir()
	d := mustOpen(t, dir, "app")
	mustDo(t, d.Close())
	for _, sub := range []string{"app/tasks", "app"} {
		mustDo(t, os.Chmod(filepath.Join(dir, sub), 0o500))
		if _, err := Open(dir, "app"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "Config.StateDir") {
			t.Errorf("%s: %v", sub, err)
		}
	}
	mustDo(t, os.Chmod(filepath.Join(dir, "app"), 0o700))
	mustDo(t, os.Chmod(filepath.Join(dir, "app", "tasks"), 0o700))
}

// For users such as root, to whom permissions do not apply.
func TestTasksAreNotWritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustDo(t, os.MkdirAll(filepath.Join(dir, "app", tasksDir, leftover+"probe"), 0o700))
	if _, err := Open(dir, "app"); err == nil || !strings.Contains(err.Error(), "is not writable; Config.StateDir") {
		t.Errorf("got %v", err)
	}
}

func TestStateDirIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	mustDo(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, "app"); err == nil || !strings.Contains(err.Error(), "Config.StateDir") {
		t.Errorf("got %v", err)
	}
}

func TestProcessFileErrors(t *testing.T) {
	t.Parallel()
	const good = `{"format":1,"application_id":"app","process_id":"c81f0a6e-4b7f-4c0f-9a54-1f6f3ad0b1c2","transactional_ids":["a"]}`
	for name, tc := range map[string]struct {
		content string
		want    error
		says    string
	}{
		"good":         {good, nil, ""},
		"empty":        {"", ErrCorrupt, "remove the file"},
		"half":         {good[:60], ErrCorrupt, "backup"},
		"zeros":        {strings.Repeat("\x00", 100), ErrCorrupt, ""},
		"more":         {good + "{", ErrCorrupt, ""},
		"unknown":      {strings.Replace(good, "transactional_ids", "x", 1), ErrCorrupt, "x"},
		"no UUID":      {strings.Replace(good, "c81f", "zzzz", 1), ErrCorrupt, "not a UUID"},
		"odd UUID":     {strings.Replace(good, "c81f", "C81F", 1), ErrCorrupt, "not a UUID"},
		"no format":    {strings.Replace(good, "1", "0", 1), ErrCorrupt, "format"},
		"null":         {"null", ErrCorrupt, "format"},
		"newer":        {`{"format":2,"application_id":{}}`, ErrNewerFormat, "format 2, and this version knows 1"},
		"another's":    {strings.Replace(good, `"app"`, `"App"`, 1), ErrOtherApplication, `the file names application "App", and this is application "app"`},
		"wrong shape":  {`[]`, ErrCorrupt, ""},
		"wrong number": {strings.Replace(good, `["a"]`, `"a"`, 1), ErrCorrupt, ""},
	} {
		dir := t.TempDir()
		mustDo(t, os.MkdirAll(filepath.Join(dir, "app"), 0o700))
		path := filepath.Join(dir, "app", processFile)
		mustDo(t, os.WriteFile(path, []byte(tc.content), 0o600))
		d, err := Open(dir, "app")
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if err != nil && (!strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %q does not name the file or say %q", name, err, tc.says)
		}
		if after, _ := os.ReadFile(path); string(after) != tc.content {
			t.Errorf("%s: Open changed the file to %s", name, after)
		}
		if err == nil {
			d.Close()
		} else if _, again := Open(dir, "app"); errors.As(again, new(*LockedError)) {
			t.Errorf("%s: the lock was kept: %v", name, again)
		}
	}
}

func TestTasks(t *testing.T) {
	t.Parallel()
	stateDir := t.TempDir()
	d := mustOpen(t, stateDir, "app")
	if ids, err := d.TaskDirs(); err != nil || len(ids) > 0 {
		t.Fatalf("got %v, %v", ids, err)
	}
	tasks := filepath.Join(stateDir, "app", "tasks")
	for _, name := range []string{"0_0", "0_12", "3_1", "lost+found", "0_01", "1_x", leftover + "9_9"} {
		mustDo(t, os.MkdirAll(filepath.Join(tasks, name, "deep"), 0o700))
	}
	mustDo(t, os.WriteFile(filepath.Join(tasks, "5_5"), nil, 0o600))
	if ids, err := d.TaskDirs(); err != nil || !reflect.DeepEqual(ids, []string{"0_0", "0_12", "3_1"}) {
		t.Errorf("got %v, %v", ids, err)
	}
	if path, err := d.TaskDir("0_12"); err != nil || path != filepath.Join(tasks, "0_12") {
		t.Errorf("got %s, %v", path, err)
	}
	for _, bad := range []string{"", "..", "0", "0_", "../x", "0_1/..", "00_1", "0_-1"} {
		if path, err := d.TaskDir(bad); err == nil {
			t.Errorf("%q: %s", bad, path)
		}
		if err := d.Destroy(bad); err == nil {
			t.Errorf("%q was destroyed", bad)
		}
	}
	mustDo(t, d.Destroy("0_12"))
	mustDo(t, d.Destroy("0_12"))
	mustDo(t, d.Destroy("7_7"))
	if ids, _ := d.TaskDirs(); !reflect.DeepEqual(ids, []string{"0_0", "3_1"}) {
		t.Errorf("left: %v", ids)
	}

	mustDo(t, d.Close())
	mustOpen(t, stateDir, "app")
	if _, err := os.Stat(filepath.Join(tasks, leftover+"9_9")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was half destroyed is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(tasks, "lost+found")); err != nil {
		t.Errorf("what is not ours was removed: %v", err)
	}
}
