package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// journal makes commits atomic. The embedded broker ends a transaction in steps: it
// writes a marker to each partition, then the group's offsets, and finally an entry in
// pids.log. If the program is killed between two steps, half a commit is left: the
// partitions without a marker count as aborted.
//
// The journal therefore records the sizes of the logs before each commit. If the last
// step is missing, the next start undoes the commit. No client was told of this commit.
//
// The broker handles one request at a time, so the data of half a commit is at the end of
// the broker's files.
type journal struct {
	data   string // directory of the broker
	file   *os.File
	killed bool // the broker was not closed the last time
}

// entry is the only entry of the journal: [8B producer][2B epoch][8B size of
// groups.log][8B size of pids.log][4B CRC-32 of the preceding bytes].
type entry struct {
	producer     int64
	epoch        int16
	groups, pids int64
}

const entrySize = 8 + 2 + 8 + 8 + 4

func (e entry) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(e.producer))
	b = binary.BigEndian.AppendUint16(b, uint16(e.epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(e.groups))
	b = binary.BigEndian.AppendUint64(b, uint64(e.pids))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// decode reports whether b is a complete entry. If a kill interrupts the write of an
// entry, its commit has not begun.
func decode(b []byte) (e entry, ok bool) {
	if len(b) != entrySize || crc32.ChecksumIEEE(b[:entrySize-4]) != binary.BigEndian.Uint32(b[entrySize-4:]) {
		return e, false
	}
	return entry{
		producer: int64(binary.BigEndian.Uint64(b)),
		epoch:    int16(binary.BigEndian.Uint16(b[8:])),
		groups:   int64(binary.BigEndian.Uint64(b[10:])),
		pids:     int64(binary.BigEndian.Uint64(b[18:])),
	}, true
}

// openJournal undoes the commit that a kill interrupted, if there is one. data is the
// broker's directory. The broker must not be running.
func openJournal(data, path string) (*journal, error) {
	j := &journal{data: data}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	j.killed = err == nil
	if e, ok := decode(b); ok {
		if err := j.repair(e); err != nil {
			return nil, fmt.Errorf("take back a commit that was interrupted: %w", err)
		}
	}
	j.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	return j, err
}

// note must be called before each EndTxn request is handled.
func (j *journal) note(request *kmsg.EndTxnRequest) error {
	if !request.Commit {
		return nil
	}
	e := entry{producer: request.ProducerID, epoch: request.ProducerEpoch}
	var err error
	if e.groups, err = size(j.groups()); err != nil {
		return err
	}
	if e.pids, err = size(j.pids()); err != nil {
		return err
	}
	_, err = j.file.WriteAt(e.encode(), 0)
	return err
}

// close is called when the broker is closed: its files are complete.
func (j *journal) close() error {
	return errors.Join(j.file.Close(), os.Remove(j.file.Name()))
}

func (j *journal) groups() string { return filepath.Join(j.data, "groups.log") }
func (j *journal) pids() string   { return filepath.Join(j.data, "pids.log") }

// size returns the size of a file, or 0 if it does not exist.
func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// repair undoes the commit unless it was completed. It may be interrupted and run again.
func (j *journal) repair(e entry) error {
	ended, err := j.ended(e)
	if ended || err != nil {
		return err
	}
	dirs, err := partitionDirs(j.data)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := removeMarker(dir, e); err != nil {
			return err
		}
	}
	return shorten(j.groups(), e.groups)
}

// ended reports whether pids.log has an entry of the commit after its earlier content.
func (j *journal) ended(e entry) (bool, error) {
	log, err := os.ReadFile(j.pids())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if int64(len(log)) < e.pids {
		return true, nil // it was rewritten after the entry had been appended
	}
	// An entry is [4B size of the rest but 4][4B CRC][2B version][JSON], little endian.
	for log = log[e.pids:]; len(log) >= 10; {
		end := 8 + int(binary.LittleEndian.Uint32(log))
		if end < 10 || end > len(log) {
			break
		}
		var logged struct {
			Type  string `json:"type"`
			PID   int64  `json:"pid"`
			Epoch int16  `json:"epoch"`
		}
		if json.Unmarshal(log[10:end], &logged) == nil && logged.Type == "endtx" && logged.PID == e.producer && logged.Epoch == e.epoch {
			return true, nil
		}
		log = log[end:]
	}
	return false, nil
}

// removeMarker removes the marker of the commit from the end of a partition, if it is
// there.
func removeMarker(dir string, e entry) error {
	l, err := openLog(dir)
	if err != nil {
		return err
	}
	if ends, err := l.endsWith(e.producer, e.epoch); !ends || err != nil {
		return err
	}
	return shorten(l.path, l.at)
}

// shorten truncates a file to n bytes.
func shorten(path string, n int64) error {
	is, err := size(path)
	if is <= n || err != nil {
		return err
	}
	return os.Truncate(path, n)
}
