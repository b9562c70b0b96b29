package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// taskName is the name of a task: sub-topology and partition. Leading zeros are not
// allowed, so that no two names mean the same task.
var taskName = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})_(0|[1-9][0-9]{0,9})$`)

func checkTask(id string) error {
	if !taskName.MatchString(id) {
		return fmt.Errorf("task %q: want <sub-topology>_<partition>", id)
	}
	return nil
}

// TaskDir returns the path of a task's directory, which may not exist. id has the form
// "0_3".
func (d *Dir) TaskDir(id string) (string, error) {
	if err := checkTask(id); err != nil {
		return "", err
	}
	return filepath.Join(d.path, tasksDir, id), nil
}

// TaskDirs returns the names of the tasks that have a directory, in the form "0_3", in
// byte order. Other files in the directory are left out.
func (d *Dir) TaskDirs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, tasksDir))
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && taskName.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Destroy removes a task's directory. Close its database first. After a crash at any
// point, the directory is either complete or gone. Destroying a directory that does not
// exist is not an error.
func (d *Dir) Destroy(id string) error {
	if err := checkTask(id); err != nil {
		return err
	}
	if err := d.destroy(tasksDir, id); err != nil {
		return fmt.Errorf("destroying task %s: %w", id, err)
	}
	return nil
}

// destroy removes a directory in the folder of all directories of its kind.
func (d *Dir) destroy(folder, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("state directory %s: %w", d.path, os.ErrClosed)
	}
	all := filepath.Join(d.path, folder)
	doomed := filepath.Join(all, leftover+id)
	if err := os.RemoveAll(doomed); err != nil {
		return err
	}
	// A directory is removed file by file, and a database that misses some files is
	// corrupt. A rename is atomic, so the directory is renamed first.
	if err := d.files.rename(filepath.Join(all, id), doomed); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := d.files.syncDir(all); err != nil {
		return err
	}
	return os.RemoveAll(doomed)
}
