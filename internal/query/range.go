package query

import (
	"bytes"
	"errors"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
)

// Range says which rows to read. The zero Range is all rows of a key-value store. The
// slices must not change while the rows are read.
type Range struct {
	// From and To are bounds of the encoded keys of a key-value store, both inclusive. A
	// nil bound is open.
	From, To []byte
	// Prefix is how the encoded keys of a key-value store begin.
	Prefix []byte

	// Windows selects rows of a store with windows, and is nil for other stores.
	Windows *Windows

	// Reverse yields the last row first.
	Reverse bool
	// Limit is the largest number of rows, all partitions together; 0: no limit.
	Limit int
}

// Windows are the windows of one key, or of all keys, with From <= start <= To. Of a
// store of sessions they are the sessions with end >= From and start <= To.
type Windows struct {
	Key      []byte // encoded, without the window; nil for all keys
	From, To int64  // in ms
}

// Errors of ranges that a kind of store does not have.
var (
	errNoOrder   = errors.New("the rows of a store with windows have no order of keys: use Windows or AllWindows")
	errNoWindows = errors.New("the store has no windows: use Range or Prefix")
)

// check returns what is wrong with the range, for a store.
func (r *Range) check(spec *store.Spec) error {
	switch {
	case spec.Kind.Segmented && r.Windows == nil:
		return errNoOrder
	case !spec.Kind.Segmented && r.Windows != nil:
		return errNoWindows
	}
	return nil
}

// bounds returns the bounds of a scan, lower <= key < upper. A nil bound is open.
func (r *Range) bounds() (lower, upper []byte) {
	lower = r.From
	if r.To != nil {
		upper = append(bytes.Clone(r.To), 0) // the smallest key above To
	}
	if len(r.Prefix) == 0 {
		return lower, upper
	}
	if bytes.Compare(r.Prefix, lower) > 0 {
		lower = r.Prefix
	}
	if end := engine.PrefixEnd(r.Prefix); end != nil && (upper == nil || bytes.Compare(end, upper) < 0) {
		upper = end
	}
	return lower, upper
}
