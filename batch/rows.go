package batch

import (
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// row is a row on its way from a store to what is done with it. It belongs to the sender,
// and is valid during the call.
type row[K, V any] struct {
	keyBytes []byte
	keys     serde.Serde[K]
	decoded  bool
	key      K // if decoded
	value    V
}

// get returns the row as the user's functions see it. Many rows are never seen, so their
// keys are not decoded before.
func (r *row[K, V]) get() (out Row[K, V], err error) {
	if !r.decoded {
		if r.key, err = r.keys.Decode(r.keyBytes); err != nil {
			return out, fmt.Errorf("decode a key: %w", err)
		}
		r.decoded = true
	}
	return Row[K, V]{Key: r.key, Value: r.value}, nil
}

// consumer takes the rows of a batch that one task has, in order of the bytes of their
// keys.
type consumer[K, V any] struct {
	begin func()
	row   func(b wire.Span, r *row[K, V]) error
	end   func(b wire.Span) error
}

// scan says how a consumer takes its rows.
type scan int

const (
	sending   scan = iota // sends each row on: the scan goes on where it was after a crash
	selecting             // selects in memory, and sends at the end: the scan starts again
)

// rows is where the rows of a result can be had in the counting tasks: in an aggregation,
// a window, or behind a filter or map on them.
type rows[K, V any] struct {
	children []func(how scan, t *counter) *consumer[K, V]
}

func (n *rows[K, V]) add(child func(how scan, t *counter) *consumer[K, V]) {
	n.children = append(n.children, child)
}

// instance returns the consumers of one kind as one, nil if there are none.
func (n *rows[K, V]) instance(how scan, t *counter) *consumer[K, V] {
	var all []*consumer[K, V]
	for _, child := range n.children {
		if c := child(how, t); c != nil {
			all = append(all, c)
		}
	}
	if len(all) < 2 {
		return append(all, nil)[0]
	}
	return &consumer[K, V]{
		begin: func() {
			for _, c := range all {
				c.begin()
			}
		},
		row: func(b wire.Span, r *row[K, V]) error {
			for _, c := range all {
				if err := c.row(b, r); err != nil {
					return err
				}
			}
			return nil
		},
		end: func(b wire.Span) error {
			for _, c := range all {
				if err := c.end(b); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// converted returns rows that f has made of the rows of n, with the same keys.
func converted[K, V, V2 any](n *rows[K, V], f func(Row[K, V]) (V2, bool)) *rows[K, V2] {
	behind := &rows[K, V2]{}
	n.add(func(how scan, t *counter) *consumer[K, V] {
		next := behind.instance(how, t)
		if next == nil {
			return nil
		}
		return &consumer[K, V]{begin: next.begin, end: next.end, row: func(b wire.Span, r *row[K, V]) error {
			seen, err := r.get()
			if err != nil {
				return err
			}
			value, ok := f(seen)
			if !ok {
				return nil
			}
			return next.row(b, &row[K, V2]{keyBytes: r.keyBytes, keys: r.keys, decoded: true, key: r.key, value: value})
		}}
	})
	return behind
}
