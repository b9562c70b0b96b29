package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// updates is the way of a table's updates to the children of its node. A child that is a
// graph.Receiver gets the new rows. A child that is a graph.ChangeReceiver gets the old
// rows too.
type updates[K, V any] struct {
	out     graph.Change[K, V]         // the next update
	records graph.Receiver[K, V]       // the children, if none of them needs old rows
	changes graph.ChangeReceiver[K, V] // the children, if one of them does
}

func updatesTo[K, V any](children []any) (updates[K, V], error) {
	all := make(changeFanOut[K, V], len(children))
	needed := false
	for i, child := range children {
		records, takesRecords := child.(graph.Receiver[K, V])
		changes, takesChanges := child.(graph.ChangeReceiver[K, V])
		switch {
		case takesRecords && takesChanges:
			return updates[K, V]{}, fmt.Errorf("child %T receives both %T and %T", child, graph.Record[K, V]{}, graph.Change[K, V]{})
		case takesChanges:
			all[i], needed = changes, true
		default:
			all[i] = newRows[K, V]{records}
		}
	}
	if needed {
		return updates[K, V]{changes: all}, nil
	}
	records, err := receiverOf[K, V](children)
	return updates[K, V]{records: records}, err
}

// needOld reports whether a child needs the old rows. setOld must then be called for each
// update.
func (u *updates[K, V]) needOld() bool { return u.changes != nil }

// set sets the new row of the next update.
func (u *updates[K, V]) set(key K, keyBytes []byte, value V, present bool, at int64, headers processor.Headers) {
	u.out.Key, u.out.KeyBytes = key, keyBytes
	u.out.Timestamp, u.out.Headers = processor.Timestamp(at), headers
	u.out.Value, u.out.NoValue = valueIf(present, value), !present
	u.out.Earlier = false
}

// setRow sets the new row of the next update to a row with another value, if it is there.
func (u *updates[K, V]) setRow(r *graph.Record[K, V], value V, present bool) {
	u.out.Record = *r
	u.out.Value, u.out.NoValue = valueIf(present, value), !present
}

// setOld sets the old row of the next update.
func (u *updates[K, V]) setOld(value V, present bool) {
	u.out.Old, u.out.NoOld = valueIf(present, value), !present
}

// valueIf returns the value, or the zero value if the row is absent.
func valueIf[V any](present bool, value V) V {
	if !present {
		var none V
		return none
	}
	return value
}

// send sends the update that was set.
func (u *updates[K, V]) send() error {
	if u.changes != nil {
		return u.changes.ReceiveChange(&u.out)
	}
	return u.records.Receive(&u.out.Record)
}

// changeFanOut passes changes to several children in order.
type changeFanOut[K, V any] []graph.ChangeReceiver[K, V]

func (f changeFanOut[K, V]) ReceiveChange(c *graph.Change[K, V]) error {
	for _, child := range f {
		if err := child.ReceiveChange(c); err != nil {
			return err
		}
	}
	return nil
}

// newRows passes the new rows of changes to a child that needs no old ones.
type newRows[K, V any] struct{ next graph.Receiver[K, V] }

func (n newRows[K, V]) ReceiveChange(c *graph.Change[K, V]) error { return n.next.Receive(&c.Record) }

// TableStream makes a stream of a table: it passes the new rows on as records. In a
// stream, an update of the past is a record like any other.
type TableStream[K, V any] struct{}

// New makes the node's instance for one task.
func (TableStream[K, V]) New(_ graph.Task, _ *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	return &tableStream[K, V]{next}, err
}

type tableStream[K, V any] struct{ next graph.Receiver[K, V] }

func (s *tableStream[K, V]) Receive(r *graph.Record[K, V]) error {
	earlier := r.Earlier // other children of the table get the record too
	r.Earlier = false
	err := s.next.Receive(r)
	r.Earlier = earlier
	return err
}
