package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// journal records in a file how far files were read. Each of its lines is a position and
// a quoted path. A later line replaces an earlier one with the same path. One goroutine
// uses it.
type journal struct {
	file      *os.File
	positions map[string]int64 // by path
}

// wholeFile is the position of a file that is completely read.
const wholeFile = -1

func openJournal(path string) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the journal of files: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the journal of files: %w", err)
	}
	j := &journal{file: f, positions: make(map[string]int64)}
	if err := j.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read the journal of files %s: %w", path, err)
	}
	return j, nil
}

// load reads the file. It removes an incomplete last line, which was being written when
// the program was killed.
func (j *journal) load() error {
	data, err := os.ReadFile(j.file.Name())
	if err != nil {
		return err
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	n := 0
	for line := range strings.Lines(string(whole)) {
		n++
		position, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		path, quoteErr := strconv.Unquote(quoted)
		at, numberErr := strconv.ParseInt(position, 10, 64)
		if quoteErr != nil || numberErr != nil {
			return fmt.Errorf("line %d is damaged: %q", n, line)
		}
		j.positions[path] = at
	}
	return j.file.Truncate(int64(len(whole)))
}

// position returns how many bytes of a file were read.
func (j *journal) position(path string) int64 { return max(0, j.positions[path]) }

// finished reports whether a path was passed to finish.
func (j *journal) finished(path string) bool { return j.positions[path] == wholeFile }

// finish records that files are completely read.
func (j *journal) finish(paths ...string) error { return j.note(wholeFile, paths...) }

// advance records that a file was read up to a position.
func (j *journal) advance(path string, position int64) error { return j.note(position, path) }

func (j *journal) note(position int64, paths ...string) error {
	var entry []byte
	for _, path := range paths {
		entry = strconv.AppendInt(entry, position, 10)
		entry = append(strconv.AppendQuote(append(entry, ' '), path), '\n')
		j.positions[path] = position
	}
	_, err := j.file.Write(entry)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("note in the journal of files: %w", err)
	}
	return nil
}

func (j *journal) close() { j.file.Close() }
