package statedir

import (
	"os"
	"path/filepath"
)

// temporary is the suffix of a file that is not in its place yet.
const temporary = ".tmp"

// files are the operations that change the directory. Tests make each of them fail.
type files struct {
	// makes or replaces a file; when it returns, the content is on the disk
	write  func(path string, data []byte) error
	rename func(from, to string) error
	// when it returns, the names in the directory are on the disk
	syncDir func(path string) error
}

var diskFiles = files{write: writeSynced, rename: os.Rename, syncDir: syncDir}

// replace replaces the content of a file. After a crash at any point, the file has either
// all of its old content or all of its new content.
func (f files) replace(path string, data []byte) error {
	if err := f.write(path+temporary, data); err != nil {
		return err
	}
	if err := f.rename(path+temporary, path); err != nil {
		return err
	}
	return f.syncDir(filepath.Dir(path))
}

// makeDir makes a directory and its missing parents. When it returns, all their names are
// on the disk.
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
