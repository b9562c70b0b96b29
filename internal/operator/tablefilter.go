package operator

import "github.com/millrace-streams/millrace/internal/graph"

// TableFilter passes on the rows of a table for which Keep returns true. For the children
// all other rows are absent. Keep is called for rows that are there only.
type TableFilter[K, V any] struct {
	Keep func(*graph.Record[K, V]) (bool, error)

	// Versioned says that the table keeps versions. An earlier version of a row may have
	// been passed on behind the newest one, so that its deletion must be passed on.
	Versioned bool
}

// New makes the node's instance for one task. If its parent can send old rows, the filter
// takes them: if a row is absent for the children, and was, it passes nothing on.
// Otherwise it cannot know that, and passes on a deletion.
func (c TableFilter[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	u, err := updatesTo[K, V](children)
	p := rowPredicate[K, V]{predicate[K, V]{base{t, n}, c.Keep}}
	if n.Parents[0].SendsOld() {
		return &changeFilter[K, V]{rowPredicate: p, updates: u, everyDeletion: c.Versioned}, err
	}
	return &tableFilter[K, V]{p, u}, err
}

// rowPredicate decides which rows the children see.
type rowPredicate[K, V any] struct{ predicate predicate[K, V] }

// there reports whether a row is there for the children. If Keep fails for the row, and
// the error policy skips the error, the row is absent.
func (p *rowPredicate[K, V]) there(r *graph.Record[K, V], which whichRow) (there bool, failure error) {
	if r.NoValue {
		return false, nil
	}
	there, err := p.predicate.call(r)
	if err != nil {
		there, err = p.callFailed(r, which, err)
	}
	return there, err
}

func (p *rowPredicate[K, V]) callFailed(r *graph.Record[K, V], which whichRow, err error) (there bool, failure error) {
	ok, failure := p.predicate.base.failedFor(which, err, func() (err error) { there, err = p.predicate.call(r); return err })
	return ok && there, failure
}

// tableFilter is the filter of a parent that does not send old rows.
type tableFilter[K, V any] struct {
	rowPredicate rowPredicate[K, V]
	updates      updates[K, V]
}

func (f *tableFilter[K, V]) Receive(r *graph.Record[K, V]) error {
	there, failure := f.rowPredicate.there(r, newRow)
	if failure != nil {
		return failure
	}
	f.updates.setRow(r, r.Value, there)
	return f.updates.send()
}

// changeFilter is the filter of a parent that sends old rows.
type changeFilter[K, V any] struct {
	rowPredicate rowPredicate[K, V]
	updates      updates[K, V]
	// everyDeletion passes on a row that is absent before and after.
	everyDeletion bool
	old           graph.Record[K, V] // scratch
}

func (f *changeFilter[K, V]) ReceiveChange(c *graph.Change[K, V]) error {
	f.old = oldRow(c)
	was, failure := f.rowPredicate.there(&f.old, rowBefore)
	if failure != nil {
		return failure
	}
	is, failure := f.rowPredicate.there(&c.Record, newRow)
	if failure != nil || !is && !was && !f.everyDeletion {
		return failure
	}
	f.updates.setRow(&c.Record, c.Value, is)
	f.updates.setOld(c.Old, was)
	return f.updates.send()
}

// oldRow returns the old row of a change, with the rest of what the change says.
func oldRow[K, V any](c *graph.Change[K, V]) graph.Record[K, V] {
	r := c.Record
	r.Value, r.NoValue = c.Old, c.NoOld
	return r
}
