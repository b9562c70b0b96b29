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

	// checkpoint is after how many bytes of a file the journal notes how far it was read. As much may be read twice after a kill -9.
	checkpoint = 8 << 20
)

// directory takes lines from the new files of a directory, from each file once.
type directory struct {
	path    string // absolute
	journal *journal
	seen    map[string]sighting // files that are to be read, by path, as of the last look
	log     *slog.Logger
}

// sighting is what a file looked like.
type sighting struct {
	size, modified int64
	failed         bool // reading it has failed: it is left alone until it changes
}

// openDirectory opens a directory and the journal in which it keeps what it has read. The first time, it notes the files that are there already:
// they are not new.
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
		// The directory comes last: a program that is killed here notes the files again.
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

// look reads the files that have not changed since the look before: whoever wrote them is done.
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
			continue // gone, or nothing with lines
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

// sendFile sends a file. It reports whether that went well; if not, it has logged why.
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

// send sends the lines of a file, from where the journal says, until its end or that of ctx.
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
			return nil // the sender has said why
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

// sendPart sends what comes before the next checkpoint, the end of ctx, or an error, io.EOF included.
func sendPart(ctx context.Context, r *lineReader, part *delivery) error {
	for start := r.consumed; r.skipping || r.consumed-start < checkpoint && ctx.Err() == nil; {
		if err := part.sendNext(r); err != nil {
			return err
		}
	}
	return nil
}
