package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var errCrash = errors.New("crash")

// crashing returns file operations that crash at step n. Step n and all later steps fail.
// If late is true, step n still takes effect. A write that fails leaves a part of its
// file.
func crashing(n int, late bool) (files, *bool) {
	crashed := new(bool)
	step := func(do func() error) error {
		if *crashed {
			return errCrash
		}
		n--
		if n > 0 {
			return do()
		}
		*crashed = true
		if late {
			return errors.Join(do(), errCrash)
		}
		return errCrash
	}
	return files{
		write: func(path string, data []byte) error {
			err := step(func() error { return writeSynced(path, data) })
			if *crashed && !late {
				os.WriteFile(path, data[:len(data)/2], fileMode)
			}
			return err
		},
		rename:  func(from, to string) error { return step(func() error { return os.Rename(from, to) }) },
		syncDir: func(path string) error { return step(func() error { return syncDir(path) }) },
	}, crashed
}

// eachCrash runs do with a crash at each step in turn, until do completes without a
// crash. prepare creates the initial directory.
func eachCrash(t *testing.T, prepare func(stateDir string), do func(stateDir string, f files) error, check func(t *testing.T, stateDir string, done bool)) {
	t.Helper()
	for _, late := range []bool{false, true} {
		for n := 1; ; n++ {
			stateDir := t.TempDir()
			prepare(stateDir)
			f, crashed := crashing(n, late)
			err := do(stateDir, f)
			if *crashed && !errors.Is(err, errCrash) {
				t.Fatalf("step %d failed, and the error is %v", n, err)
			}
			t.Run(fmt.Sprintf("step %d late %v", n, late), func(t *testing.T) { check(t, stateDir, !*crashed) })
			if !*crashed {
				if n < 3 {
					t.Fatalf("only %d steps went through the seam", n-1)
				}
				break
			}
		}
	}
}

func TestCrashWhileCreating(t *testing.T) {
	t.Parallel()
	var id string
	eachCrash(t, func(string) {}, func(stateDir string, f files) error {
		d, err := open(stateDir, "app", f)
		if err == nil {
			id = d.ProcessID()
			d.Close()
		}
		return err
	}, func(t *testing.T, stateDir string, done bool) {
		d := mustOpen(t, stateDir, "app")
		if done && d.ProcessID() != id {
			t.Errorf("process ID %s became %s", id, d.ProcessID())
		}
		checkNoTemporary(t, d)
	})
}

func TestCrashWhileRecording(t *testing.T) {
	t.Parallel()
	var id string
	eachCrash(t, func(stateDir string) {
		d := mustOpen(t, stateDir, "app")
		id = d.ProcessID()
		mustDo(t, d.RecordTransactionalID("old"))
		mustDo(t, d.SetTopology("f", []byte("description")))
		mustDo(t, d.Close())
	}, func(stateDir string, f files) error {
		d, err := open(stateDir, "app", f)
		if err != nil {
			return err
		}
		defer d.Close()
		err = d.RecordTransactionalID("new")
		if err != nil && !slices.Equal(d.TransactionalIDs(), []string{"old"}) {
			t.Errorf("after an error there are %v", d.TransactionalIDs())
		}
		return err
	}, func(t *testing.T, stateDir string, done bool) {
		d := mustOpen(t, stateDir, "app")
		got := d.TransactionalIDs()
		if !slices.Equal(got, []string{"old", "new"}) && (done || !slices.Equal(got, []string{"old"})) {
			t.Errorf("transactional IDs %v", got)
		}
		if fingerprint, description, _ := d.Topology(); fingerprint != "f" || string(description) != "description" || d.ProcessID() != id {
			t.Errorf("the rest became %s %s %s", d.ProcessID(), fingerprint, description)
		}
		checkNoTemporary(t, d)
		mustDo(t, d.RecordTransactionalID("next"))
	})
}

func checkNoTemporary(t *testing.T, d *Dir) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(d.Path(), processFile+temporary)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
}

func TestCrashWhileDestroying(t *testing.T) {
	t.Parallel()
	eachCrash(t, func(stateDir string) {
		d := mustOpen(t, stateDir, "app")
		path, err := d.TaskDir("0_1")
		mustDo(t, err)
		mustDo(t, os.Mkdir(path, dirMode))
		for _, name := range []string{"a", "b"} {
			mustDo(t, os.WriteFile(filepath.Join(path, name), nil, fileMode))
		}
		mustDo(t, d.Close())
	}, func(stateDir string, f files) error {
		d, err := open(stateDir, "app", f)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Destroy("0_1")
	}, func(t *testing.T, stateDir string, done bool) {
		d := mustOpen(t, stateDir, "app")
		path, err := d.TaskDir("0_1")
		mustDo(t, err)
		entries, err := os.ReadDir(path)
		if whole := len(entries) == 2; whole == errors.Is(err, os.ErrNotExist) || whole && done {
			t.Errorf("the task has %v, %v", entries, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 1 {
			t.Errorf("left over: %v", left)
		}
	})
}

// After a crash of the machine, a temporary file may have any length. It must not prevent
// opening the directory. A torn process.json must never be accepted as a whole one.
func TestTornFiles(t *testing.T) {
	t.Parallel()
	stateDir := t.TempDir()
	d := mustOpen(t, stateDir, "app")
	mustDo(t, d.RecordTransactionalID("a", "b"))
	mustDo(t, d.SetTopology("f", nil))
	id := d.ProcessID()
	path := filepath.Join(d.Path(), processFile)
	mustDo(t, d.Close())
	whole, err := os.ReadFile(path)
	mustDo(t, err)

	for cut := range len(whole) {
		mustDo(t, os.WriteFile(path+temporary, whole[:cut], fileMode))
		d, err := Open(stateDir, "app")
		mustDo(t, err)
		if d.ProcessID() != id || len(d.TransactionalIDs()) != 2 {
			t.Fatalf("with %d bytes of a temporary file: %s, %v", cut, d.ProcessID(), d.TransactionalIDs())
		}
		mustDo(t, d.Close())
	}
	for cut := range len(whole) - 1 { // the last byte is the end of the line
		mustDo(t, os.WriteFile(path, whole[:cut], fileMode))
		if d, err := Open(stateDir, "app"); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("with %d of %d bytes: %v, %v", cut, len(whole), d, err)
		}
	}
}

func FuzzParseProcess(f *testing.F) {
	data, err := process{ApplicationID: "app", ProcessID: "c81f0a6e-4b7f-4c0f-9a54-1f6f3ad0b1c2", Topology: &topology{Description: []byte{1}}}.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseProcess(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) {
				t.Fatalf("unknown error %v", err)
			}
			return
		}
		again, err := p.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseProcess(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
