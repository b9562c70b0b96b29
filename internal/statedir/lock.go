package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// LockedError is returned by Open when the directory is in use.
type LockedError struct {
	Dir string
	// PID and Host are those of the holder. They are 0 and empty if the lock file does
	// not contain them.
	PID  int
	Host string
	// advice is set on systems where a lock may outlive its holder.
	advice string
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
		if e.Host != "" {
			holder += " on " + e.Host
		}
		if host, _ := os.Hostname(); e.PID == os.Getpid() && e.Host == host {
			holder = fmt.Sprintf("this process (%d)", e.PID)
		}
	}
	return fmt.Sprintf("state directory %s is in use by %s: only one process may use it at a time; stop that process, or give this process another Config.StateDir%s",
		e.Dir, holder, e.advice)
}

// lock is a held directory.
type lock struct {
	dir  string
	file *os.File
}

// held are the directories that this process holds. On some file systems, the system's
// lock does not exclude a second lock by the same process.
var held = struct {
	sync.Mutex
	dirs map[string]bool
}{dirs: map[string]bool{}}

// errHeld is returned by lockFileAt if another process holds the file.
var errHeld = errors.New("held")

// acquire locks a directory. It does not wait.
func acquire(dir string) (*lock, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	held.Lock()
	defer held.Unlock()
	path := filepath.Join(dir, lockFile)
	if held.dirs[real] {
		return nil, lockedError(dir, path)
	}
	file, err := lockFileAt(path)
	switch {
	case errors.Is(err, errHeld):
		return nil, lockedError(dir, path)
	case err != nil:
		return nil, fmt.Errorf("state directory %s cannot be locked; Config.StateDir must name a directory that this process may write to: %w", dir, err)
	}
	l := &lock{dir: real, file: file}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("state directory %s: %w", dir, err), unlockFile(file))
	}
	held.dirs[real] = true
	return l, nil
}

// sign writes the holder into the lock file, for processes that find it held.
func (l *lock) sign() error {
	host, _ := os.Hostname()
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), host), 0)
	return err
}

func lockedError(dir, path string) error {
	e := &LockedError{Dir: dir, advice: lockAdvice(path)}
	if data, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(data), "\n") {
		if n, _ := fmt.Sscan(string(data), &e.PID, &e.Host); n == 0 {
			e.PID, e.Host = 0, ""
		}
	}
	return e
}

func (l *lock) release() error {
	held.Lock()
	defer held.Unlock()
	delete(held.dirs, l.dir)
	return unlockFile(l.file)
}
