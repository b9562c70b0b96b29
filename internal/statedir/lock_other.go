//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package statedir

import (
	"errors"
	"os"
	"runtime"
)

// lockFileAt locks by creating a file that must not exist. Windows does not remove a file
// that is open. If the file can be removed there, its process is gone.
func lockFileAt(path string) (*os.File, error) {
	if runtime.GOOS == "windows" {
		os.Remove(path) // fails if the file is held, or does not exist
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

// syncDir does nothing: these systems either keep names safe themselves or offer no way
// to do so.
func syncDir(string) error { return nil }
