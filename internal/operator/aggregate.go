package operator

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Adder computes the next aggregate from the last one and a record. If there is no
// aggregate yet, exists is false and last is the zero value. It may change last in place.
// If there is no next aggregate, there is false, and the row is deleted.
//
// After an error the row stays as it is, unless the error is marked by Halfway.
type Adder[K, V, A any] func(last A, exists bool, r *graph.Record[K, V]) (next A, there bool, err error)

// Halfway marks an error of an Adder that has changed the aggregate before it failed. The
// row gets the aggregate that comes with the error.
func Halfway(err error) error { return &halfwayError{err} }

type halfwayError struct{ error }

func (e *halfwayError) Unwrap() error { return e.error }

// isHalfway reports whether err was marked by Halfway.
func isHalfway(err error) bool {
	var h *halfwayError
	return errors.As(err, &h)
}

// Aggregate folds the records of each key into a row of a table. Records without a key or
// without a value are dropped.
type Aggregate[K, V, A any] struct {
	Store       string // its name
	Keys        serde.Serde[K]
	Values      serde.Serde[A]
	Add         Adder[K, V, A]
	EveryUpdate bool // send each update, also if the application merges updates

	// Merge adds a partial aggregate to the last one; see Combining. If it is nil, a
	// partial is an error.
	Merge func(last A, exists bool, part A) A
}

// New makes the node's instance for one task.
func (c Aggregate[K, V, A]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s, err := storeOf[cellStore[K, A]](t, c.Store)
	if err != nil {
		return nil, err
	}
	a := &aggregate[K, V, A]{folding: folding[K, V, K, A]{keys: keyEncoder[K]{serde: c.Keys}, add: c.Add}, values: c.Values, merge: c.Merge}
	if a.folding.rows, err = openRows[K, K](base{t, n}, s, c.Values, c.EveryUpdate, children); err != nil {
		return nil, err
	}
	a.folding.rows.keyOf = cellKey[K, A]
	a.folding.rows.keepLifetimes(c.Keys)
	a.folding.rows.start()
	return a, nil
}

type aggregate[K, V, A any] struct {
	folding folding[K, V, K, A]
	values  serde.Serde[A]
	merge   func(last A, exists bool, part A) A
}

func (a *aggregate[K, V, A]) Receive(r *graph.Record[K, V]) error {
	switch {
	case r.NoKey:
		a.folding.rows.drop(nullKey)
		return nil
	case r.NoValue:
		a.folding.rows.drop(nullValue)
		return nil
	}
	key, err := a.folding.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		_, failure := a.folding.rows.failed(err, nil)
		return failure
	}
	if handled, failure := a.folding.rows.enter(key, r.Key, r.Timestamp); handled {
		return failure
	}
	if cell, failure := a.folding.fold(r, nil, key); cell == nil {
		return failure
	}
	return a.folding.rows.emit()
}

var errNoMerge = errors.New("a partial result cannot be merged: a version of the program with the option Combine has sent it: give the aggregation the option until the topic has been processed to its end")

// ReceivePartial implements partialReceiver.
func (a *aggregate[K, V, A]) ReceivePartial(p *partial[K]) error {
	if a.merge == nil {
		return a.folding.rows.broken(errNoMerge)
	}
	if handled, failure := a.folding.rows.enter(p.KeyBytes, p.Key, p.Timestamp); handled {
		return failure
	}
	cell, broken, err := a.updatePartial(p)
	switch {
	case broken != nil:
		return a.folding.rows.broken(broken)
	case err != nil:
		_, failure := a.folding.rows.failed(err, nil)
		return failure
	case cell == nil:
		return nil
	}
	return a.folding.rows.emit()
}

// updatePartial changes the row of a partial. broken is an error of the store, err one of
// the partial.
func (a *aggregate[K, V, A]) updatePartial(p *partial[K]) (cell *engine.Cell[K, A], broken, err error) {
	defer graph.Guard(&err)
	part, err := a.values.Decode(p.encoded)
	if err != nil {
		return nil, nil, fmt.Errorf("partial result: %w", err)
	}
	cell, last, broken := a.folding.rows.load(p.KeyBytes, p.Key)
	if broken != nil {
		return nil, broken, nil
	}
	value, broken := a.mergePart(last, cell.Present, part)
	if broken != nil {
		return nil, broken, nil
	}
	return cell, a.folding.store(cell, value, true, p.Timestamp, p.Headers), nil
}

func (a *aggregate[K, V, A]) mergePart(last A, exists bool, part A) (value A, err error) {
	defer mayNotFail(&err)
	defer graph.Guard(&err)
	return a.merge(last, exists, part), nil
}

// folding folds records into rows.
type folding[K, V, R, A any] struct {
	rows rows[K, R, A]
	keys keyEncoder[K]
	add  Adder[K, V, A]

	// from is the origin of the record that is being folded, if it is folded into several
	// rows; else nil.
	from *engine.Origin
}

// fold folds the record into one row, and returns the row's cell. The caller passes the
// cell or, if that is nil, the row's key. The result is nil after a failure, and after an
// error of a user function that the error policy has skipped.
func (f *folding[K, V, R, A]) fold(r *graph.Record[K, V], cell *engine.Cell[K, A], row []byte) (_ *engine.Cell[K, A], failure error) {
	cell, broken, err := f.update(r, cell, row)
	switch {
	case broken != nil:
		return nil, f.rows.broken(broken)
	case err != nil:
		if _, failure := f.rows.failed(err, nil); failure != nil || !isHalfway(err) {
			return nil, failure
		}
	}
	return cell, nil
}

// update changes the row. broken is an error of the store, err one of a user function.
func (f *folding[K, V, R, A]) update(r *graph.Record[K, V], cell *engine.Cell[K, A], row []byte) (_ *engine.Cell[K, A], broken, err error) {
	defer graph.Guard(&err)
	if cell == nil {
		if cell, broken = f.rows.cells.Load(row, r.Key); broken != nil {
			return nil, broken, nil
		}
	}
	last, broken := f.rows.value(cell)
	if broken != nil {
		return nil, broken, nil
	}
	value, there, err := f.add(last, cell.Present, r)
	if err != nil && !isHalfway(err) {
		return nil, nil, err
	}
	return cell, f.store(cell, value, there, r.Timestamp, r.Headers), err
}

// store sets the row to its new value. The timestamp of a row is the largest one of its
// records.
func (f *folding[K, V, R, A]) store(cell *engine.Cell[K, A], value A, there bool, timestamp processor.Timestamp, headers processor.Headers) error {
	at := timestamp
	if cell.Present {
		at = max(at, processor.Timestamp(cell.Timestamp))
	}
	return f.rows.set(cell, value, there && !f.rows.absent.is(value), at, cause{timestamp, headers, f.from})
}
