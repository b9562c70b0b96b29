package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// A task's name: sub-topology and partition, each without leading zeros, so that no two names mean the same task.
var taskName = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})_(0|[1-9][0-9]{0,9})$`)

func checkTask(id string) error {
	if !taskName.MatchString(id) {
		return fmt.Errorf("task %q: want <sub-topology>_<partition>", id)
	}
	return nil
}

// TaskDir is the path of a task's directory, which may not exist. The task is named as in "0_3".
func (d *Dir) TaskDir(id string) (string, error) {
	if err := checkTask(id); err != nil {
		return "", err
	}
	return filepath.Join(d.path, tasksDir, id), nil
}

// TaskDirs are the names, as in "0_3", of the tasks that have a directory, in order of bytes. Anything else that somebody put there is left
// out.
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

// Destroy removes a task's directory, whose database must be closed. After a crash at any point it is either whole or gone. Destroying
// what is not there is no error.
func (d *Dir) Destroy(id string) error {
	if err := checkTask(id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("state directory %s: %w", d.path, os.ErrClosed)
	}
	tasks := filepath.Join(d.path, tasksDir)
	doomed := filepath.Join(tasks, leftover+id)
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("destroying task %s: %w", id, err)
	}
	// A directory goes file by file, and a database without some of its files is a corrupt one. A new name goes at once.
	if err := d.files.rename(filepath.Join(tasks, id), doomed); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("destroying task %s: %w", id, err)
	}
	if err := d.files.syncDir(tasks); err != nil {
		return fmt.Errorf("destroying task %s: %w", id, err)
	}
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("destroying task %s: %w", id, err)
	}
	return nil
}
