package store

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
)

// Kind is a kind of store. Kinds are compared by pointer; each is made once, as a package
// variable.
type Kind struct {
	// Name identifies the kind in durable records, and names it in messages: "key-value",
	// "window". It never changes.
	Name string

	// Noun is how errors call a store of the kind: "store", "window store".
	Noun string

	// Changelog is the kind of the changelog topic.
	Changelog ChangelogKind

	// Headers are those of the changelog records that are no deletions.
	Headers processor.Headers

	// Own kinds are the runtime's. Users cannot ask for one, and the shape of the
	// topology does not list its stores.
	Own bool

	// Segmented kinds keep their rows by segments of time; see [Spec.Segments].
	Segmented bool

	// Migrates says that the values can be migrated. MigratesPast says that rows of the
	// table's past have values too: the store converts them before those of the table.
	Migrates, MigratesPast bool

	// rowKey returns the key of a row in the database for a key as queries write it,
	// which includes the window start if the kind has windows. interval is that of the
	// segments. nil: both keys are the same.
	rowKey func(interval int64, key []byte) ([]byte, error)
	// queryKey undoes rowKey. The result is a part of row.
	queryKey func(row []byte) []byte
	// windows says which rows a query for windows yields. nil: the kind has none.
	windows *windowReads

	// logged returns the store's own key in the key of a changelog record. It is an
	// [ErrForeignRow] if no store with the spec can have written the record.
	logged func(s *Spec, changelogKey []byte) ([]byte, error)

	// restore applies one changelog record: a row without a value is a deletion.
	restore func(s *Spec, b *engine.TableBatch, key []byte, row engine.Stored) error
}

// windowReads says which rows of a kind are those of a range of time, from..to.
type windowReads struct {
	// times returns the range of the times that such rows expire by.
	times func(from, to int64) (first, last int64)
	// keyBounds returns the bounds, for Scan, of such rows of one segment with a key.
	// Other rows may lie in between.
	keyBounds func(interval, segment int64, key []byte, from, to int64) (lower, upper []byte)
	// within reports whether a row is one, and returns its key.
	within func(local []byte, from, to int64) (key []byte, ok bool)
}

// String returns the name.
func (k *Kind) String() string { return k.Name }

// kinds is the table of all kinds.
var kinds = []*Kind{
	KeyValue,
	Window,
	Session,
	Buffer,
	Versioned,
	Times,
}

// Kinds returns all kinds, in the order of the table.
func Kinds() []*Kind { return append([]*Kind(nil), kinds...) }

// KindNamed returns the kind with the name; nil if this version of the program has none.
func KindNamed(name string) *Kind {
	for _, k := range kinds {
		if k.Name == name {
			return k
		}
	}
	return nil
}
