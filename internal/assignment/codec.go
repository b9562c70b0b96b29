package assignment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// The user data of the classic protocol has a format of this library. All user data
// starts with two bytes:
//
//	format   the format that the writer writes
//	readable the lowest format whose readers understand it
//
// A later format may therefore append fields that readers of this format skip. If they
// must not skip them, readable says so. After the two bytes come fields without names:
//
//	number  unsigned LEB128, as encoding/binary writes it
//	string  number of bytes, bytes
//	task    number sub-topology, number partition
//	list    number of elements, elements, in ascending order
//
// Equal values have equal bytes, because the coordinator takes different bytes for a
// request to rebalance.
//
// Format 2 appends the field Matched to a subscription and to an assignment. A reader of
// format 1 can skip it: a program of that time has no topology with patterns.
const (
	format   = 2
	readable = 1
)

// FormatError says that the bytes need a reader of a later format than this program's.
type FormatError struct {
	Format   uint8 // the format that the writer writes
	Readable uint8 // the lowest format that a reader must understand
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("format %d, which needs a reader of format %d or later, was given to a reader of format %d: "+
		"the processes of the group run different versions of the library; upgrade the older ones", e.Format, e.Readable, format)
}

var errShort = errors.New("the bytes end too early")

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendTask(dst []byte, t taskid.ID) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.SubTopology))
	return binary.AppendUvarint(dst, uint64(t.Partition))
}

func appendTasks(dst []byte, tasks []taskid.ID) []byte {
	tasks = slices.Clone(tasks)
	slices.SortFunc(tasks, taskid.ID.Compare)
	tasks = slices.Compact(tasks)
	dst = binary.AppendUvarint(dst, uint64(len(tasks)))
	for _, t := range tasks {
		dst = appendTask(dst, t)
	}
	return dst
}

// reader reads fields one after another. After the first error it returns zero values.
type reader struct {
	src    []byte
	format uint8
	err    error
}

// read opens user data.
func read(src []byte) *reader {
	r := &reader{src: src}
	r.format = r.byte()
	from := r.byte()
	switch {
	case r.err != nil:
	case r.format == 0 || from == 0 || from > r.format:
		r.fail(fmt.Errorf("the header is impossible: format %d, readable from format %d", r.format, from))
	case from > format:
		r.fail(&FormatError{Format: r.format, Readable: from})
	}
	return r
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.src = nil
}

func (r *reader) byte() byte {
	if len(r.src) == 0 {
		r.fail(errShort)
		return 0
	}
	b := r.src[0]
	r.src = r.src[1:]
	return b
}

func (r *reader) number(limit uint64) uint64 {
	x, n := binary.Uvarint(r.src)
	switch {
	case n == 0:
		r.fail(errShort)
		return 0
	case n < 0 || x > limit:
		r.fail(errors.New("a number is too large"))
		return 0
	}
	r.src = r.src[n:]
	return x
}

func (r *reader) string() string {
	n := r.number(math.MaxInt32)
	if n > uint64(len(r.src)) {
		r.fail(errShort)
		return ""
	}
	s := string(r.src[:n])
	r.src = r.src[n:]
	return s
}

// since2 reads a string that format 2 has added.
func (r *reader) since2() string {
	if r.format < 2 {
		return ""
	}
	return r.string()
}

func (r *reader) task() taskid.ID {
	return taskid.ID{SubTopology: int32(r.number(math.MaxInt32)), Partition: int32(r.number(math.MaxInt32))}
}

// eachTask reads a list whose elements begin with a task.
func (r *reader) eachTask(element func(taskid.ID)) {
	last := taskid.ID{SubTopology: -1}
	for range r.number(uint64(len(r.src)) / 2) { // a task has at least two bytes
		t := r.task()
		if r.err == nil && t.Compare(last) <= 0 {
			r.fail(errors.New("tasks are not in ascending order"))
		}
		if r.err != nil {
			return
		}
		element(t)
		last = t
	}
}

// close returns the first error. Bytes left over are an error, unless a later format
// wrote them.
func (r *reader) close() error {
	if r.err == nil && len(r.src) > 0 && r.format <= format {
		r.fail(fmt.Errorf("%d bytes too many", len(r.src)))
	}
	return r.err
}
