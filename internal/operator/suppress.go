package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Suppress holds the updates of a table back, merges the updates of each row, and passes
// a row on when it is due. The updates are kept in a store. An index in memory has the
// order in which the rows are due.
//
// If updates are merged, the node first takes all updates of a flush, and passes rows on
// afterwards. Otherwise the result would depend on the order of the flush, which sends
// rows in the order of their first change, with the timestamps of their last change.
//
// Only the way in and the way out have type parameters; see heldBack.
type Suppress[K, V any] struct {
	Suppression
	Keys   serde.Serde[K]
	Values serde.Serde[V] // to count bytes

	// Window returns the window of a row; nil for a time limit.
	Window func(K) serde.Window
}

// New makes the node's instance for one task.
func (c Suppress[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s := &suppress[K, V]{base: base{t, n}, window: c.Window, keys: keyEncoder[K]{serde: c.Keys}}
	var err error
	if s.updates, err = updatesTo[K, V](children); err != nil {
		return nil, err
	}
	s.buffer, err = c.open(s.base, BufferedValues(c.Values), s.pass)
	return s, err
}

// heldBack is what a Suppress needs of its buffer. The buffer is behind an interface, so
// that programs do not compile it.
type heldBack interface {
	// take puts an update into the buffer. Its Slot counts only if the row is not in the
	// buffer yet. The buffer sets Prior. An error of the store is a graph.Final.
	take(key []byte, next Buffered) error
	// settle passes on what is due, and then the first rows while there are too many.
	settle() error
}

type suppress[K, V any] struct {
	base    base
	window  func(K) serde.Window
	keys    keyEncoder[K]
	buffer  heldBack
	updates updates[K, V]
}

// ReceiveChange takes an update. If the application merges updates, rows that are due are
// passed on at the commit.
func (s *suppress[K, V]) ReceiveChange(c *graph.Change[K, V]) error {
	if c.Earlier {
		return nil // the newest row is held back
	}
	key, err := s.keys.bytes(c.KeyBytes, c.Key)
	if err == nil {
		err = s.buffer.take(key, s.update(c))
	}
	switch {
	case graph.IsFinal(err):
		return s.base.broken(err)
	case err != nil:
		_, failure := s.base.failed(err, nil)
		return failure
	case s.base.task.EveryUpdate():
		return s.buffer.settle()
	}
	return nil
}

// update returns what a change adds to the buffer.
func (s *suppress[K, V]) update(c *graph.Change[K, V]) Buffered {
	m := s.base.task.Metadata()
	b := Buffered{
		Slot: c.Timestamp, Timestamp: c.Timestamp, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Headers: c.Headers,
	}
	if s.window != nil {
		b.Slot = processor.Timestamp(s.window(c.Key).End)
	}
	b.Old, b.New = versionIf(!c.NoOld, c.Old), versionIf(!c.NoValue, c.Value)
	return b
}

// pass sends a row to the children.
func (s *suppress[K, V]) pass(key []byte, row *Buffered) error {
	decoded, err := decodeKey(s.keys.serde, key)
	if err != nil {
		return s.base.broken(err)
	}
	value, there := versionOf[V](row.New)
	s.updates.set(decoded, key, value, there, int64(row.Timestamp), row.Headers)
	s.updates.setOld(versionOf[V](row.Prior))
	return s.updates.send()
}

// versionIf returns the version with a value, or none.
func versionIf[V any](there bool, value V) Version {
	if !there {
		return Version{}
	}
	return Version{value, true}
}

// versionOf returns the value of a version, if there is one.
func versionOf[V any](v Version) (value V, there bool) {
	if v.There {
		value = unboxed[V](v.Value)
	}
	return value, v.There
}
