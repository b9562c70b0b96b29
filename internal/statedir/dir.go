// Package statedir manages the directory that one process of an application keeps on its
// machine:
//
//	<StateDir>/<application ID>/LOCK
//		held by the process that uses the directory
//	<StateDir>/<application ID>/process.json
//		the identity of that process
//	<StateDir>/<application ID>/tasks/<sub>_<partition>/
//		the database of a task, opened elsewhere
//	<StateDir>/<application ID>/globals/<16 hexadecimal digits>/
//		the database of a global store, opened elsewhere
//
// The identity in process.json makes a restarted process the same member of the group as
// before. With it, the process can fence the transactions that it left open. Two rules
// follow:
//
//   - One process uses the directory at a time. The lock ensures that.
//   - The directory belongs to one process only: do not copy it, not even as part of a
//     machine image. The lock cannot detect a copy. Only Kafka can: when both processes
//     join the group, it answers one of them with FENCED_INSTANCE_ID.
//
// After a crash at any point, every file has either its old content or its new content.
// Nothing in the directory is needed for correctness: without the directory, a process
// starts as a new member and restores its tasks from Kafka.
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

	// The directory can hold any data of the topology, so only its owner has access.
	dirMode  = 0o700
	fileMode = 0o600
)

// Dir is an open state directory. Its methods may be called from several goroutines at
// once.
type Dir struct {
	path  string
	files files
	lock  *lock

	mu      sync.Mutex
	closed  bool
	process process
}

// Open opens the directory of an application under stateDir, and creates it if it does
// not exist. The directory is locked until Close.
//
// Open returns
//
//   - a [*LockedError] if another process, or another Open in this process, holds the
//     directory;
//   - an error that wraps [ErrOtherApplication], [ErrCorrupt] or [ErrNewerFormat],
//     depending on the content of process.json;
//   - an error of the file system, for example if the directory is read-only.
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

// legalID is Kafka's rule for topic names: the ID becomes a part of such names. It also
// ensures that the ID is a single element of a path.
var legalID = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func checkApplicationID(id string) error {
	if !legalID.MatchString(id) || id == "." || id == ".." {
		return fmt.Errorf("application ID %q: it names topics and a directory, so it must consist of 1 to 249 letters, digits, dots, underscores and hyphens", id)
	}
	return nil
}

// checkWritable detects a read-only directory at the start, instead of at the first
// commit.
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

// load reads the identity of this process. The first time, it creates one.
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
		return fmt.Errorf("%s: %w: the file names application %q, and this is application %q; use another Config.StateDir, or remove the directory if that application is gone",
			path, ErrOtherApplication, p.ApplicationID, applicationID)
	}
	d.process = p
	return nil
}

// Path returns the application's directory.
func (d *Dir) Path() string { return d.path }

// ProcessID returns the identity of the process: a random UUID that is created with the
// directory and never changes.
func (d *Dir) ProcessID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.process.ProcessID
}

// TransactionalIDs returns all IDs that were ever recorded, in the order of their
// recording. The caller owns the slice.
func (d *Dir) TransactionalIDs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.process.TransactionalIDs)
}

// RecordTransactionalID records transactional IDs. If it returns nil, they are on the
// disk: after any crash, a restarted process knows which transactions it must end. Use an
// ID only after that. Recording an ID again costs nothing.
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

// Topology returns what [Dir.SetTopology] stored last. found is false if nothing was
// stored yet. Topology does not check anything: the caller decides whether the state of
// one topology suits another.
func (d *Dir) Topology() (fingerprint string, description []byte, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.process.Topology
	if t == nil {
		return "", nil, false
	}
	return t.Fingerprint, slices.Clone(t.Description), true
}

// SetTopology stores the topology whose state the directory holds. If it returns nil, the
// topology is on the disk.
func (d *Dir) SetTopology(fingerprint string, description []byte) error {
	return d.change(func(p *process) bool {
		if t := p.Topology; t != nil && t.Fingerprint == fingerprint && string(t.Description) == string(description) {
			return false
		}
		p.Topology = &topology{Fingerprint: fingerprint, Description: slices.Clone(description)}
		return true
	})
}

// change saves the process as edited, unless edit reports no change. After an error, the
// process in memory is unchanged, but the disk may already have the change.
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

// Close releases the directory. Close the databases in it first. Closing twice is safe.
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

// leftover is the prefix of the names, in tasks and globals, that a crash may leave
// behind.
const leftover = ".millrace-"

// removeLeftovers completes removals that an earlier process began.
func (d *Dir) removeLeftovers() error {
	for _, folder := range []string{tasksDir, globalsDir} {
		entries, err := os.ReadDir(filepath.Join(d.path, folder))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("state directory: %w", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), leftover) {
				if err := os.RemoveAll(filepath.Join(d.path, folder, e.Name())); err != nil {
					return fmt.Errorf("state directory: %w", err)
				}
			}
		}
	}
	if err := os.Remove(filepath.Join(d.path, processFile+temporary)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}
