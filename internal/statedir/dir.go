// Package statedir is the directory that one process of an application keeps on its machine:
//
//	<StateDir>/<application ID>/LOCK                          held by the process that uses the directory
//	<StateDir>/<application ID>/process.json                  who that process is
//	<StateDir>/<application ID>/tasks/<sub>_<partition>/      the database of a task, opened elsewhere
//
// The identity in process.json makes a process that comes back the same member of the group as before, and lets it fence the transactions that it
// left open. So the directory belongs to one process at a time, which the lock sees to, and to one process at all: do not
// copy it, also not with an image of a machine. A copy is used by nobody as far as its lock can tell; only Kafka finds out, when
// both join the group, and answers one of them with FENCED_INSTANCE_ID.
//
// Every file is either as it was or as it should be after a crash at any point. Nothing in the directory is needed for
// correctness: without it a process starts as a new member and restores its tasks from Kafka.
package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
)

const (
	lockFile    = "LOCK"
	processFile = "process.json"
	tasksDir    = "tasks"

	// What the directory holds can be anything that went through a topology, so it is the owner's alone.
	dirMode  = 0o700
	fileMode = 0o600
)

// Dir is an open state directory. Its methods may be called at the same time from several goroutines.
type Dir struct {
	path  string
	files files
	lock  *lock

	mu      sync.Mutex
	closed  bool
	process process
}

// Open opens the directory of an application under stateDir, and creates it if there is none. It is held until Close.
//
// It returns a [*LockedError] when another process, or another Open in this one, holds it; an error that is [ErrOtherApplication],
// [ErrCorrupt] or [ErrNewerFormat] for what process.json says; and an error of the file system, that of a read-only directory included.
func Open(stateDir, applicationID string) (*Dir, error) {
	return open(stateDir, applicationID, diskFiles)
}

func open(stateDir, applicationID string, files files) (_ *Dir, err error) {
	if err := checkApplicationID(applicationID); err != nil {
		return nil, err
	}
	stateDir, err = filepath.Abs(stateDir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	d := &Dir{path: filepath.Join(stateDir, applicationID), files: files}
	if err := makeDir(filepath.Join(d.path, tasksDir), files.syncDir); err != nil {
		return nil, fmt.Errorf("state directory %s cannot be created; Config.StateDir must name a directory that this process may write to: %w", d.path, err)
	}
	if d.lock, err = acquire(d.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.lock.release()
		}
	}()
	if err := d.checkWritable(); err != nil {
		return nil, err
	}
	if err := d.removeLeftovers(); err != nil {
		return nil, err
	}
	if err := d.load(applicationID); err != nil {
		return nil, err
	}
	return d, nil
}

// Kafka's rule for what becomes part of a topic's name, which also keeps the name one element of a path.
var legalID = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func checkApplicationID(id string) error {
	if !legalID.MatchString(id) || id == "." || id == ".." {
		return fmt.Errorf("application ID %q: it names topics and a directory, so it must consist of 1 to 249 letters, digits, dots, underscores and hyphens", id)
	}
	return nil
}

// checkWritable finds a read-only directory at the start, and not at the first commit.
func (d *Dir) checkWritable() error {
	probe := filepath.Join(d.path, tasksDir, leftover+"probe")
	if err := os.WriteFile(probe, nil, fileMode); err != nil {
		return fmt.Errorf("state directory %s is not writable; Config.StateDir must name a directory that this process may write to: %w", d.path, err)
	}
	if err := os.Remove(probe); err != nil {
		return fmt.Errorf("state directory %s: %w", d.path, err)
	}
	return nil
}

// load reads who this process is, or makes it up the first time.
func (d *Dir) load(applicationID string) error {
	path := filepath.Join(d.path, processFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return d.save(process{ApplicationID: applicationID, ProcessID: uuid.NewString()})
	case err != nil:
		return fmt.Errorf("state directory: %w", err)
	}
	p, err := parseProcess(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if p.ApplicationID != applicationID {
		return fmt.Errorf("%s: %w: it says %q, and this is %q; use another Config.StateDir, or remove the directory if that application is gone",
			path, ErrOtherApplication, p.ApplicationID, applicationID)
	}
	d.process = p
	return nil
}

// Path is the application's directory.
func (d *Dir) Path() string { return d.path }

// ProcessID is the identity of the process, a random UUID that is made with the directory and never changes.
func (d *Dir) ProcessID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.process.ProcessID
}

// TransactionalIDs are all that were ever recorded, in order of their recording. The caller owns the slice.
func (d *Dir) TransactionalIDs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.process.TransactionalIDs)
}

// RecordTransactionalID records transactional IDs. When it returns nil they are on the disk, so a process that comes back after any crash
// knows whose transactions it has to end; use an ID only then. Recording an ID again costs nothing.
func (d *Dir) RecordTransactionalID(ids ...string) error {
	return d.change(func(p *process) bool {
		known := len(p.TransactionalIDs)
		for _, id := range ids {
			if !slices.Contains(p.TransactionalIDs, id) {
				p.TransactionalIDs = append(p.TransactionalIDs, id)
			}
		}
		return len(p.TransactionalIDs) > known
	})
}

// Topology is what [Dir.SetTopology] stored last; found is false before the first time. The directory does not judge it: whether state made
// by one topology suits another is the caller's to say.
func (d *Dir) Topology() (fingerprint string, description []byte, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.process.Topology
	if t == nil {
		return "", nil, false
	}
	return t.Fingerprint, slices.Clone(t.Description), true
}

// SetTopology stores the topology whose state the directory holds. When it returns nil that is on the disk.
func (d *Dir) SetTopology(fingerprint string, description []byte) error {
	return d.change(func(p *process) bool {
		if t := p.Topology; t != nil && t.Fingerprint == fingerprint && string(t.Description) == string(description) {
			return false
		}
		p.Topology = &topology{Fingerprint: fingerprint, Description: slices.Clone(description)}
		return true
	})
}

// change saves what edit makes of the process, unless it makes nothing of it. After an error nothing has changed, except that the
// disk may already have the change.
func (d *Dir) change(edit func(*process) (changed bool)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("state directory %s: %w", d.path, os.ErrClosed)
	}
	p := d.process
	p.TransactionalIDs = slices.Clone(p.TransactionalIDs)
	if !edit(&p) {
		return nil
	}
	return d.save(p)
}

func (d *Dir) save(p process) error {
	data, err := p.marshal()
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, processFile), err)
	}
	if err := d.files.replace(filepath.Join(d.path, processFile), data); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	d.process = p
	return nil
}

// Close gives the directory up. Databases in it must be closed before. Closing twice is safe.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if err := d.lock.release(); err != nil {
		return fmt.Errorf("state directory %s: %w", d.path, err)
	}
	return nil
}

// leftover begins the names, in tasks, of what a crash may leave behind.
const leftover = ".millrace-"

// removeLeftovers finishes what a former process began to destroy.
func (d *Dir) removeLeftovers() error {
	entries, err := os.ReadDir(filepath.Join(d.path, tasksDir))
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), leftover) {
			if err := os.RemoveAll(filepath.Join(d.path, tasksDir, e.Name())); err != nil {
				return fmt.Errorf("state directory: %w", err)
			}
		}
	}
	if err := os.Remove(filepath.Join(d.path, processFile+temporary)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}
