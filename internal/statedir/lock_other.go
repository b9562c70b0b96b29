//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package statedir

import (
	"errors"
	"os"
	"runtime"
)

// lockFileAt locks by making a file that must not exist. Windows does not remove a file that is open, so there the file of a process that is
// gone can be told from one that is held: it can be removed.
func lockFileAt(path string) (*os.File, error) {
	if runtime.GOOS == "windows" {
		os.Remove(path) // fails if it is held, or is not there
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, os.ErrExist) {
		return nil, errHeld
	}
	return f, err
}

func unlockFile(f *os.File) error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func lockAdvice(path string) string {
	if runtime.GOOS == "windows" {
		return ""
	}
	return "; if it is gone, remove " + path
}

// syncDir does nothing: these systems either keep names safe themselves or offer no way to.
func syncDir(string) error { return nil }
