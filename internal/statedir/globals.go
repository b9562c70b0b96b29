package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

const globalsDir = "globals"

// globalName is the name of the directory of a global store: 16 hexadecimal digits.
var globalName = regexp.MustCompile(`^[0-9a-f]{16}$`)

// GlobalDir returns the path of the directory of a global store, which may not exist. id
// consists of 16 hexadecimal digits.
func (d *Dir) GlobalDir(id string) (string, error) {
	if !globalName.MatchString(id) {
		return "", fmt.Errorf("global store %q: want 16 hexadecimal digits", id)
	}
	return filepath.Join(d.path, globalsDir, id), nil
}

// GlobalDirs returns the IDs of the global stores that have a directory, in byte order.
func (d *Dir) GlobalDirs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, globalsDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && globalName.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// DestroyGlobal removes the directory of a global store, as Destroy removes that of a
// task.
func (d *Dir) DestroyGlobal(id string) error {
	if _, err := d.GlobalDir(id); err != nil {
		return err
	}
	if err := d.destroy(globalsDir, id); err != nil {
		return fmt.Errorf("destroying global store %s: %w", id, err)
	}
	return nil
}
