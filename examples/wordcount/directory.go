package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	lookInterval = time.Second

	// checkpoint is the number of bytes of a file after which the journal records the
	// position. After a kill -9, that many bytes may be read twice.
	checkpoint = 8 << 20
)

// directory reads the lines of new files in a directory, each file once.
type directory struct {
	path    string // absolute
	journal *journal
	seen    map[string]sighting // unread files by path, as of the last look
	log     *slog.Logger
}

// sighting is the state of a file when it was last seen.
type sighting struct {
	size, modified int64
	failed         bool // reading it has failed: it is skipped until it changes
}

// openDirectory opens a directory, and the journal that records which files were read.
// The first time, it records the existing files as read, because they are not new.
func openDirectory(path, journalPath string, log *slog.Logger) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("wait for files: %w", err)
	}
	j, err := openJournal(journalPath)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, journal: j, log: log}
	if !j.finished(path) {
		var there []string
		for _, e := range entries {
			there = append(there, d.file(e))
		}
		// The directory comes last: if the program is killed here, it records the files
		// again.
		if err := j.finish(append(there, path)...); err != nil {
			j.close()
			return nil, err
		}
	}
	log.Info("waiting for new files", "directory", path)
	return d, nil
}

func (d *directory) file(e os.DirEntry) string { return filepath.Join(d.path, e.Name()) }

func (d *directory) read(ctx context.Context, to *sender) error {
	defer d.journal.close()
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := d.look(ctx, to); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return nil
}

// look reads the files that have not changed since the previous look, because their
// writers have finished.
func (d *directory) look(ctx context.Context, to *sender) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("look for files: %w", err)
	}
	before := d.seen
	d.seen = make(map[string]sighting)
	for _, e := range entries {
		path := d.file(e)
		if strings.HasPrefix(e.Name(), ".") || d.journal.finished(path) {
			continue
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // gone, or not a regular file
		}
		now := sighting{size: info.Size(), modified: info.ModTime().UnixNano()}
		switch before[path] {
		case now:
			now.failed = !d.sendFile(ctx, path, to)
		case sighting{now.size, now.modified, true}:
			now.failed = true
		}
		d.seen[path] = now
	}
	return nil
}

// sendFile sends a file. It reports whether that succeeded. If not, it has logged the
// reason.
func (d *directory) sendFile(ctx context.Context, path string, to *sender) bool {
	if ctx.Err() != nil {
		return true
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		err = d.send(ctx, f, to)
	}
	if err != nil {
		d.log.Warn("file left alone until it changes", "error", err)
	}
	return err == nil
}

// send sends the lines of a file, from the position in the journal until the end of the
// file or of ctx.
func (d *directory) send(ctx context.Context, f *os.File, to *sender) error {
	start := d.journal.position(f.Name())
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	sent := 0
	for r := newLineReader(f); ; {
		part := to.delivery(f.Name())
		err := sendPart(ctx, r, part)
		if !part.wait() {
			return nil // the sender has reported the reason
		}
		sent += part.lines
		if err == io.EOF {
			d.log.Info("file read", "file", f.Name(), "lines", sent)
			return d.journal.finish(f.Name())
		}
		if err := errors.Join(err, d.journal.advance(f.Name(), start+r.consumed)); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// sendPart sends lines until the next checkpoint, the end of ctx, or an error, including
// io.EOF.
func sendPart(ctx context.Context, r *lineReader, part *delivery) error {
	for start := r.consumed; r.skipping || r.consumed-start < checkpoint && ctx.Err() == nil; {
		if err := part.sendNext(r); err != nil {
			return err
		}
	}
	return nil
}
