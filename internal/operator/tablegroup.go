package operator

import (
	"bytes"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// TableGroup sends the updates of a table to the groups that its rows are in and were in.
// If the group stays the same, both values travel in one record. Otherwise the old value
// is sent to its group first. A row whose key in the group is absent is in no group.
type TableGroup[K, V, K2 any] struct {
	Key  func(*graph.Record[K, V]) (K2, error)
	Keys serde.Serde[K2]
}

// New makes the node's instance for one task.
func (c TableGroup[K, V, K2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K2, Delta[V]](children)
	return &tableGroup[K, V, K2]{base: base{t, n}, key: c.Key, keys: c.Keys, absent: absenceOf(c.Keys), next: next}, err
}

type tableGroup[K, V, K2 any] struct {
	base   base
	key    func(*graph.Record[K, V]) (K2, error)
	keys   serde.Serde[K2]
	absent absence[K2]
	from   member[K2] // the group of the old row
	to     member[K2] // the group of the new row
	row    graph.Record[K, V]
	out    graph.Record[K2, Delta[V]]
	next   graph.Receiver[K2, Delta[V]]
}

// member says which group a row is in.
type member[K any] struct {
	in    bool
	key   K
	bytes []byte // the encoding of key
}

func (g *tableGroup[K, V, K2]) ReceiveChange(c *graph.Change[K, V]) error {
	if c.Earlier {
		return nil // the newest row is in its group already
	}
	g.row = oldRow(c)
	if failure := g.find(&g.from, &g.row, rowBefore); failure != nil {
		return failure
	}
	if failure := g.find(&g.to, &c.Record, newRow); failure != nil {
		return failure
	}
	g.out.Timestamp, g.out.Headers = c.Timestamp, c.Headers
	if g.from.in && g.to.in && bytes.Equal(g.from.bytes, g.to.bytes) {
		return g.send(&g.to, Delta[V]{Old: c.Old, HasOld: true, New: c.Value, HasNew: true})
	}
	if g.from.in {
		if err := g.send(&g.from, Delta[V]{Old: c.Old, HasOld: true}); err != nil {
			return err
		}
	}
	if g.to.in {
		return g.send(&g.to, Delta[V]{New: c.Value, HasNew: true})
	}
	return nil
}

func (g *tableGroup[K, V, K2]) send(m *member[K2], d Delta[V]) error {
	g.out.Key, g.out.KeyBytes, g.out.Value = m.key, m.bytes, d
	return g.next.Receive(&g.out)
}

// find sets m to the group of a row. A row without a key is in no group, and counted when
// it is new. If Key fails, and the error policy skips the error, the row is in no group
// either.
func (g *tableGroup[K, V, K2]) find(m *member[K2], r *graph.Record[K, V], which whichRow) (failure error) {
	if m.in = false; r.NoValue {
		return nil
	}
	if err := g.call(m, r); err != nil {
		if ok, failure := g.callFailed(m, r, which, err); !ok {
			return failure
		}
	}
	if !m.in && which == newRow {
		g.base.drop(nullKey)
	}
	return nil
}

func (g *tableGroup[K, V, K2]) call(m *member[K2], r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	if m.key, err = g.key(r); err != nil || g.absent.is(m.key) {
		return err
	}
	if m.bytes, err = g.keys.Append(m.bytes[:0], m.key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	m.in = true
	return nil
}

func (g *tableGroup[K, V, K2]) callFailed(m *member[K2], r *graph.Record[K, V], which whichRow, err error) (ok bool, failure error) {
	return g.base.failedFor(which, err, func() error { return g.call(m, r) })
}
