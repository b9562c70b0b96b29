package statedir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain can run this program as a second process. If the environment names a
// directory, it opens the directory, reports that, and waits until it is killed or its
// input ends.
func TestMain(m *testing.M) {
	stateDir := os.Getenv("STATEDIR_TEST_OPEN")
	if stateDir == "" {
		os.Exit(m.Run())
	}
	d, err := Open(stateDir, "app")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open", d.ProcessID())
	io.Copy(io.Discard, os.Stdin)
}

func TestOneProcessCannotOpenTwice(t *testing.T) {
	t.Parallel()
	stateDir := t.TempDir()
	d := mustOpen(t, stateDir, "app")
	link := filepath.Join(t.TempDir(), "link")
	paths := []string{stateDir, stateDir + "/./"}
	if os.Symlink(stateDir, link) == nil {
		paths = append(paths, link)
	}
	for _, path := range paths {
		_, err := Open(path, "app")
		var locked *LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() {
			t.Fatalf("%s: %v, want a LockedError with this process's ID", path, err)
		}
		for _, part := range []string{"in use by this process", "Config.StateDir"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	}
	mustOpen(t, stateDir, "another")
	mustDo(t, d.Close())
	mustOpen(t, stateDir, "app")
}

func TestAnotherProcessHoldsTheDirectory(t *testing.T) {
	t.Parallel()
	stateDir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STATEDIR_TEST_OPEN="+stateDir)
	stdin, err := cmd.StdinPipe() // stays open as long as the process should live
	mustDo(t, err)
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	mustDo(t, err)
	mustDo(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	var id string
	if n, _ := fmt.Sscanf(line, "open %s", &id); n != 1 {
		t.Fatalf("the other process says %q, %v", line, err)
	}

	_, err = Open(stateDir, "app")
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || locked.Dir != filepath.Join(stateDir, "app") {
		t.Errorf("got %v, want process %d", err, cmd.Process.Pid)
	}
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d on ", cmd.Process.Pid)) {
		t.Errorf("the error does not name the process: %v", err)
	}

	mustDo(t, cmd.Process.Kill())
	cmd.Wait()
	d := mustOpen(t, stateDir, "app") // a lock does not outlive its process
	if d.ProcessID() != id {
		t.Errorf("process ID %s became %s after kill -9", id, d.ProcessID())
	}
}

func TestLockFileWithoutAHolder(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "12", "x\n", "-\n"} {
		path := filepath.Join(t.TempDir(), lockFile)
		mustDo(t, os.WriteFile(path, []byte(content), 0o600))
		if got := lockedError("dir", path).Error(); !strings.Contains(got, "state directory dir is in use by another process:") {
			t.Errorf("%q: %s", content, got)
		}
	}
}
