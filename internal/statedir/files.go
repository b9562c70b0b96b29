package statedir

import (
	"os"
	"path/filepath"
)

// temporary ends the name of a file that is not yet in its place.
const temporary = ".tmp"

// files are the steps by which the directory changes. Tests let each of them fail.
type files struct {
	write   func(path string, data []byte) error // makes or replaces a file; its content is on the disk when it returns
	rename  func(from, to string) error
	syncDir func(path string) error // the names in a directory are on the disk when it returns
}

var diskFiles = files{write: writeSynced, rename: os.Rename, syncDir: syncDir}

// replace puts data in the place of a file, so that after a crash at any point the file has all of its old or all of its new content.
func (f files) replace(path string, data []byte) error {
	if err := f.write(path+temporary, data); err != nil {
		return err
	}
	if err := f.rename(path+temporary, path); err != nil {
		return err
	}
	return f.syncDir(filepath.Dir(path))
}

// makeDir makes a directory and those above it that do not exist, all of whose names are on the disk when it returns.
func makeDir(path string, syncDir func(string) error) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	above := filepath.Dir(path)
	if above != path {
		if err := makeDir(above, syncDir); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, dirMode); err != nil {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil // another process was faster; it will lose or win the lock
		}
		return err
	}
	return syncDir(above)
}

func writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
