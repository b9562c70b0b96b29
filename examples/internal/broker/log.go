package broker

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// log is the data of a partition on the disk. It is a directory <topic>-<partition> of
// segments. The name of a segment is the offset of its first record. A segment is a
// sequence of batches in their wire format.
type log struct {
	path string // of the segment with the last batch, "" if there is none
	at   int64  // position of the last complete batch
	size int64
	open map[int64]int16 // epochs of the producers with an open transaction
}

func partitionDirs(data string) ([]string, error) {
	return filepath.Glob(filepath.Join(data, "partitions", "*"))
}

// topicOf returns the topic and the partition of a directory.
func topicOf(dir string) (string, int32, error) {
	name := filepath.Base(dir)
	i := strings.LastIndexByte(name, '-')
	partition, err := strconv.ParseInt(name[i+1:], 10, 32)
	if i < 0 || err != nil {
		return "", 0, fmt.Errorf("%s is not the directory of a partition", dir)
	}
	topic, err := url.PathUnescape(name[:i])
	return topic, int32(partition), err
}

// openLog reads the batches of a partition.
func openLog(dir string) (*log, error) {
	segments, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(segments, func(a, b string) int { return firstOffset(a) - firstOffset(b) })
	l := &log{open: make(map[int64]int16)}
	for _, path := range segments {
		if err := l.scan(path); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func firstOffset(segment string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(segment), ".dat"))
	return n
}

func (l *log) scan(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := size(path)
	if err != nil {
		return err
	}
	// The beginning of a batch:
	//
	//	[8B offset][4B size of the rest][4B leader epoch][1B magic][4B CRC]
	//	[2B attributes][20B offsets, times][8B producer][2B epoch]
	var header [53]byte
	const sizeEnds = 12
	for at := int64(0); at+int64(len(header)) <= size; at += l.size {
		if _, err := f.ReadAt(header[:], at); err != nil {
			return err
		}
		length := sizeEnds + int64(binary.BigEndian.Uint32(header[8:]))
		if at+length > size {
			return nil // truncated by a kill
		}
		l.path, l.at, l.size = path, at, length
		l.take(binary.BigEndian.Uint16(header[21:]), int64(binary.BigEndian.Uint64(header[43:])), int16(binary.BigEndian.Uint16(header[51:])))
	}
	return nil
}

// take keeps track of the open transactions.
func (l *log) take(attributes uint16, producer int64, epoch int16) {
	const transactional, control = 1 << 4, 1 << 5
	switch {
	case attributes&control != 0:
		delete(l.open, producer)
	case attributes&transactional != 0:
		l.open[producer] = epoch
	}
}

// endsWith reports whether the last batch commits a transaction of the producer.
func (l *log) endsWith(producer int64, epoch int16) (bool, error) {
	if l.path == "" {
		return false, nil
	}
	f, err := os.Open(l.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	raw := make([]byte, l.size)
	if _, err := f.ReadAt(raw, l.at); err != nil {
		return false, err
	}
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		return false, fmt.Errorf("the last batch of %s: %w", l.path, err)
	}
	var r kmsg.Record
	var key kmsg.ControlRecordKey
	const control = 1 << 5
	return b.Attributes&control != 0 && b.ProducerID == producer && b.ProducerEpoch == epoch &&
		r.ReadFrom(b.Records) == nil && key.ReadFrom(r.Key) == nil && key.Type == kmsg.ControlRecordKeyTypeCommit, nil
}
