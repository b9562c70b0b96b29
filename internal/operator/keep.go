package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// Keep keeps records as the rows of a table: a record is the new row of its key, and a
// record without a value deletes the row. Records without a key are dropped. A row has
// the timestamp of its record, also if that is smaller than the one of the row before.
type Keep[K, V any] struct {
	Store       string // its name; "" if the rows are not kept, but only passed on
	Keys        serde.Serde[K]
	Values      serde.Serde[V]
	EveryUpdate bool // send each update, also if the application merges updates

	// OfTable says that the records are the updates of another table. If that table keeps
	// versions, and this one does not, the records of earlier versions are left out.
	OfTable bool

	// OfFilter says that the other table is a filtered one. The filter may not know which
	// rows were there, and sends a deletion for each row that does not pass. If this
	// table reads its rows before it replaces them, it leaves out what deletes nothing.
	OfFilter bool

	// EveryDeletion sends the deletion of each row, also of one that is not in the store.
	// Otherwise the deletion is not sent if updates are merged.
	EveryDeletion bool
}

// New makes the node's instance for one task.
func (c Keep[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	if c.Store == "" {
		return KeyFilter[K, V]{}.New(t, n, children)
	}
	s, err := storeOf[cellStore[K, V]](t, c.Store)
	if err != nil {
		return nil, err
	}
	k := &keep[K, V]{keys: keyEncoder[K]{serde: c.Keys}, ofTable: c.OfTable, ofFilter: c.OfFilter}
	if k.rows, err = openRows[K, K](base{t, n}, s, c.Values, c.EveryUpdate, children); err != nil {
		return nil, err
	}
	// A record may delete a row, whatever its serde.
	if k.rows.everyDeletion = c.EveryDeletion; !c.EveryDeletion {
		k.rows.deletable()
	}
	k.rows.keyOf = cellKey[K, V]
	k.rows.keepLifetimes(c.Keys)
	k.blind = k.rows.writesBlindly()
	k.rows.start()
	return k, nil
}

type keep[K, V any] struct {
	rows     rows[K, K, V]
	keys     keyEncoder[K]
	ofTable  bool
	ofFilter bool
	blind    bool // rows are not read before they are written
}

func (k *keep[K, V]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey {
		k.rows.drop(nullKey)
		return nil
	}
	if r.Earlier && k.ofTable && k.rows.versions == nil {
		return nil
	}
	key, err := k.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		_, failure := k.rows.failed(err, nil)
		return failure
	}
	if handled, failure := k.rows.enter(key, r.Key, r.Timestamp); handled {
		return failure
	}
	stored, err := k.store(key, r)
	switch {
	case err != nil:
		return k.rows.broken(err)
	case !stored:
		return nil
	}
	return k.rows.emit()
}

// store makes a record the row of its key. It reports whether the record is an update.
func (k *keep[K, V]) store(key []byte, r *graph.Record[K, V]) (stored bool, err error) {
	by := cause{timestamp: r.Timestamp, headers: r.Headers}
	if k.blind {
		return true, k.rows.overwrite(key, r.Key, r.Value, !r.NoValue, r.Timestamp, by)
	}
	cell, err := k.rows.cells.Load(key, r.Key)
	if err != nil || k.ofFilter && r.NoValue && !cell.Present && k.rows.versions == nil {
		return false, err
	}
	return true, k.rows.set(cell, r.Value, !r.NoValue, r.Timestamp, by)
}
