package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Progress is the progress of a task when a batch was applied. If no changelog holds a
// committed record at or beyond these positions, the database has the state of exactly
// the records below these offsets.
type Progress struct {
	Inputs     []InputProgress
	Changelogs []ChangelogProgress
}

// InputProgress is the offset of an input partition, as it was committed.
type InputProgress struct {
	Topic     string
	Partition int32
	TopicID   [16]byte // of the topic that the offset belongs to; zero is unknown
	Offset    int64
	Metadata  string
}

// ChangelogProgress is the position in the task's partition of a changelog: the next
// offset to read. It is -1 if nothing was read or written.
type ChangelogProgress struct {
	Topic    string
	TopicID  [16]byte
	Position int64
}

// progressVersion is the version of the encoding: [1B version][4B n] inputs [4B n]
// changelogs, an input being [4B length][topic][4B partition][16B topic ID][8B offset][4B
// length][metadata] and a changelog [4B length][topic][16B topic ID][8B position], all
// big-endian.
const progressVersion = 1

// SetProgress notes the progress of the task. It copies p. A database without tables on
// disk keeps no progress.
func (b *Batch) SetProgress(p *Progress) {
	if b.db.pebble == nil {
		return
	}
	op := diskBatch(b).SetDeferred(len(metaPrefix)+1, p.size())
	copy(op.Key, metaPrefix)
	op.Key[len(metaPrefix)] = metaProgress
	p.append(op.Value[:0])
	_ = op.Finish() // as in forget
}

// Progress returns the last progress that was applied. ok is false if there was none.
func (d *DB) Progress() (p Progress, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Progress{}, false, ErrClosed
	}
	if d.pebble == nil {
		return Progress{}, false, nil
	}
	value, closer, err := database(d).Get(metaKey(metaProgress, ""))
	if errors.Is(err, pebble.ErrNotFound) {
		return Progress{}, false, nil
	}
	if err != nil {
		return Progress{}, false, err
	}
	p, err = decodeProgress(value)
	if err = errors.Join(err, closer.Close()); err != nil {
		return Progress{}, false, fmt.Errorf("progress in %s: %w", d.o.Dir, err)
	}
	return p, true, nil
}

func (p *Progress) size() int {
	n := 1 + 4 + 4
	for i := range p.Inputs {
		n += 4 + len(p.Inputs[i].Topic) + 4 + 16 + 8 + 4 + len(p.Inputs[i].Metadata)
	}
	for i := range p.Changelogs {
		n += 4 + len(p.Changelogs[i].Topic) + 16 + 8
	}
	return n
}

func (p *Progress) append(dst []byte) []byte {
	dst = append(dst, progressVersion)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Inputs)))
	for i := range p.Inputs {
		in := &p.Inputs[i]
		dst = appendText(dst, in.Topic)
		dst = binary.BigEndian.AppendUint32(dst, uint32(in.Partition))
		dst = append(dst, in.TopicID[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(in.Offset))
		dst = appendText(dst, in.Metadata)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Changelogs)))
	for i := range p.Changelogs {
		log := &p.Changelogs[i]
		dst = appendText(dst, log.Topic)
		dst = append(dst, log.TopicID[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(log.Position))
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

func decodeProgress(src []byte) (p Progress, err error) {
	r := progressReader{left: src}
	if v := r.take(1); v != nil && v[0] != progressVersion {
		return Progress{}, fmt.Errorf("version %d is unknown to this version of the library", v[0])
	}
	for n := r.uint32(); n > 0 && !r.broken; n-- {
		in := InputProgress{Topic: r.text(), Partition: int32(r.uint32())}
		copy(in.TopicID[:], r.take(16))
		in.Offset, in.Metadata = r.int64(), r.text()
		p.Inputs = append(p.Inputs, in)
	}
	for n := r.uint32(); n > 0 && !r.broken; n-- {
		log := ChangelogProgress{Topic: r.text()}
		copy(log.TopicID[:], r.take(16))
		log.Position = r.int64()
		p.Changelogs = append(p.Changelogs, log)
	}
	if r.broken || len(r.left) > 0 {
		return Progress{}, fmt.Errorf("%d bytes are not a progress", len(src))
	}
	return p, nil
}

// progressReader reads an encoded progress. After an error it returns zero values.
type progressReader struct {
	left   []byte
	broken bool
}

func (r *progressReader) take(n int) []byte {
	if r.broken || n > len(r.left) {
		r.broken = true
		return nil
	}
	taken := r.left[:n]
	r.left = r.left[n:]
	return taken
}

func (r *progressReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *progressReader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *progressReader) text() string { return string(r.take(int(r.uint32()))) }
