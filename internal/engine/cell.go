package engine

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"unsafe"

	"github.com/millrace-streams/millrace/processor"
)

// Origin is the record that made a change.
type Origin struct {
	Topic     string // empty if unknown or if there is no record
	Partition int32
	Offset    int64
	Headers   processor.Headers
	Input     any // the record itself, if the task keeps it for a dead letter
}

// String returns topic/partition@offset.
func (o Origin) String() string {
	if o.Topic == "" {
		return "no record"
	}
	return fmt.Sprintf("record %s/%d@%d", o.Topic, o.Partition, o.Offset)
}

// EncodeError says that a value of a store has no encoding.
type EncodeError struct {
	Store  string
	Origin Origin // the record that made the value
	Err    error
}

// Error names the store and the record.
func (e *EncodeError) Error() string {
	return fmt.Sprintf("store %s: encode a value (last changed by %s): %v", e.Store, e.Origin, e.Err)
}

// Unwrap returns the serde's error.
func (e *EncodeError) Unwrap() error { return e.Err }

// Cell is a decoded row in memory. Only [Cells] changes its fields. A pointer to a cell
// is valid until the next call of a method of its Cells; a pointer to a changed cell is
// valid until Flush.
type Cell[K, V any] struct {
	Key       K     // as it was passed to Load or Put
	Value     V     // the zero value unless Present
	Timestamp int64 // ms
	Present   bool

	used       bool // since the clock hand has passed
	committing bool
	gone       bool // evicted
	lent       bool // see Lend
	dirty      int32
	size       int32
	key        string
}

// KeyBytes returns the bytes of the cell's key. They never change, and must not be
// changed.
func (c *Cell[K, V]) KeyBytes() []byte { return bytesOf(c.key) }

// Changed reports whether the cell has changed since the last Flush.
func (c *Cell[K, V]) Changed() bool { return c.dirty != 0 }

// Lend returns the value to a reader that may keep it. The value must then not be changed
// in place: its owner works on a [Cells.Copy].
func (c *Cell[K, V]) Lend() V {
	c.lent = true
	return c.Value
}

// Lent reports whether a reader may keep the present value.
func (c *Cell[K, V]) Lent() bool { return c.lent }

// change holds the data of a changed cell until Flush. Cell.dirty is 1 + its index in
// Cells.changes.
type change[K, V any] struct {
	cell   *Cell[K, V]
	origin Origin
	value  []byte // its encoding, when it was logged at once

	// The row as of the last Flush, if oldKnown is true. If it is false but oldThere is
	// true, there was a row with the timestamp oldTime, and only its value is unknown.
	old      V
	oldTime  int64
	oldKnown bool
	oldThere bool
}

// keepOld keeps the row as it was before its first change. The value itself can be kept
// only if nobody changes it in place.
func (ch *change[K, V]) keepOld(cell *Cell[K, V], unchanging bool) {
	ch.oldKnown = unchanging || !cell.Present
	if !cell.Present {
		return
	}
	ch.oldTime, ch.oldThere = cell.Timestamp, true
	if unchanging {
		ch.old = cell.Value
	}
}

// cellSize returns the bytes of a cell in memory, without its key and the data behind its
// value: the cell, and its places in map and ring. A Go map doubles its parts when it
// grows, so an entry takes more than its 24 bytes.
func cellSize[K, V any]() int32 {
	const mapEntry, ringEntry = 56, 10
	return int32(unsafe.Sizeof(Cell[K, V]{})) + mapEntry + ringEntry
}

// immutable reports whether values of type V cannot be changed through a copy of them.
func immutable[V any]() bool { return fixedType(reflect.TypeFor[V]()) }

func fixedType(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return fixedType(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !fixedType(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// Guard turns a panic of a serde into an error. It must be deferred directly.
func Guard(err *error) {
	if v := recover(); v != nil {
		*err = &processor.PanicError{Value: v, Stack: debug.Stack()}
	}
}
