package operator

import (
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// rows are the rows of a table, and their way to the children of its node. What an
// operator adds is only how the next value of a row is made.
//
// K is the type of the keys in the store. R is the type of the table's keys, which the
// children see: K, or serde.Windowed[K].
type rows[K, R, A any] struct {
	base
	absent      absence[A]
	everyUpdate bool // send and log each update
	// Send the deletion of a row that was not there at the last commit, too.
	everyDeletion bool
	final         bool // send the rows when they are closed, and not their updates
	// A sent value is never changed in place.
	copies bool
	keyOf  func(*engine.Cell[K, A]) (key R, encoding []byte) // encoding may be nil
	// The timestamp of a row's update; nil: the row's.
	timeOf  func(*engine.Cell[K, A]) int64
	cells   *engine.Cells[K, A]
	updates updates[R, A]

	// nil unless the rows have a TTL: their lifetimes, the decoding of a key, and
	// expireRow.
	lives     *engine.Lifetimes
	decode    func([]byte) (K, error)
	expireOne func(*engine.Cell[K, A]) error

	versions versioned[K, A] // nil unless the store keeps versions
	unsent   bool            // the last change of a version is not to be sent

	// opened is called for each new row, with the end of its window. It is nil unless
	// final is set.
	opened func(cell *engine.Cell[K, A], end int64)
	endOf  func(*engine.Cell[K, A]) int64 // nil unless opened is set
}

// cellStore is what a store's instance must be for an operator that keeps its rows there.
// The operator reads and writes typed rows without the store in between.
type cellStore[K, A any] interface {
	Cells() *engine.Cells[K, A]
}

// versioned is what a store's instance must be for an operator whose table keeps versions
// of its rows. The cells are the newest ones.
type versioned[K, A any] interface {
	// PutCell adds a version of a cell's row, or deletes the row from a time on. kept is
	// false if the version is older than the history, and newest if there is no newer
	// one.
	PutCell(cell *engine.Cell[K, A], value A, present bool, at int64, origin engine.Origin) (newest, kept bool, err error)

	// AsOf returns the version of a key that was valid at a time.
	AsOf(keyBytes []byte, key K, at int64) (value A, from, end int64, ok bool, err error)
}

// storeOf returns a store of the task as what the operator needs.
func storeOf[S any](t graph.Task, name string) (S, error) {
	var none S
	store, err := t.Store(name)
	if err != nil {
		return none, err
	}
	s, ok := store.(S)
	if !ok {
		return none, fmt.Errorf("store %s is a %T and not a %T", name, store, &none)
	}
	return s, nil
}

// openRows returns the rows of a store. everyUpdate sends each update at once; without it
// the updates of a row between two commits are merged.
func openRows[K, R, A any](b base, s cellStore[K, A], values serde.Serde[A], everyUpdate bool, children []any) (rows[K, R, A], error) {
	u, err := updatesTo[R, A](children)
	r := rows[K, R, A]{
		base: b, absent: absenceOf(values), everyUpdate: everyUpdate || b.task.EveryUpdate(), cells: s.Cells(), updates: u,
		copies: u.needOld() || valuesAreKept(b.node), final: b.node.Final,
	}
	if r.final {
		r.copies = false // a row does not change any more when it has been sent
	}
	r.versions, _ = any(s).(versioned[K, A])
	switch {
	case r.everyUpdate:
	case r.updates.needOld() && !r.final:
		r.cells.KeepOldValues()
	case r.absent.expressible():
		r.deletable()
	}
	return r, err
}

// deletable says that rows can be deleted. Only such rows can be created and deleted
// between two commits.
func (t *rows[K, R, A]) deletable() {
	if !t.everyUpdate && (t.final || !t.updates.needOld()) {
		t.cells.KeepOld()
	}
}

// valuesAreKept reports whether a node below has a store, in which it may keep the values
// that it is sent.
func valuesAreKept(n *graph.Node) bool {
	return slices.ContainsFunc(n.Children, func(c *graph.Node) bool { return len(c.Stores) > 0 || valuesAreKept(c) })
}

// start registers the flush of the rows, once they do not move any more.
func (t *rows[K, R, A]) start() {
	switch {
	case t.lives != nil:
		t.task.OnFlush(t.node, t.flushExpired)
	case !t.everyUpdate && !t.final:
		t.task.OnFlush(t.node, t.flush)
	}
}

// load returns the cell of a row, and the row's value for a function that may change it
// in place.
func (t *rows[K, R, A]) load(keyBytes []byte, key K) (cell *engine.Cell[K, A], value A, err error) {
	if cell, err = t.cells.Load(keyBytes, key); err != nil {
		return nil, value, err
	}
	value, err = t.value(cell)
	return cell, value, err
}

// value returns the value of a row for a function that may change it in place.
func (t *rows[K, R, A]) value(cell *engine.Cell[K, A]) (A, error) {
	if cell.Present && (t.versions != nil || cell.Lent() || t.copies && (t.everyUpdate || !cell.Changed())) {
		// The children have been sent the value, or a join has read it, and may have kept
		// it; or the store will keep it as an earlier version.
		return t.cells.Copy(cell)
	}
	return cell.Value, nil
}

// cellKey is keyOf of a store whose keys are the table's.
func cellKey[K, A any](cell *engine.Cell[K, A]) (K, []byte) { return cell.Key, cell.KeyBytes() }

// cause is the record that changes a row.
type cause struct {
	timestamp processor.Timestamp
	headers   processor.Headers
	from      *engine.Origin // what base.origin returns; nil: it is asked each time
}

// originOf returns what a store notes about the record that makes a change.
func (t *rows[K, R, A]) originOf(by *cause) engine.Origin {
	if by.from != nil {
		return *by.from
	}
	return t.origin(by.headers)
}

// set changes the row of a cell that load returned, or deletes it. at is the row's
// timestamp. The caller calls emit afterwards.
func (t *rows[K, R, A]) set(cell *engine.Cell[K, A], value A, present bool, at processor.Timestamp, by cause) error {
	logged := at
	if !present {
		// As in Kafka Streams, a deletion is logged with the timestamp of its record
		// only.
		logged = by.timestamp
	}
	return t.change(cell, value, present, at, logged, by)
}

// writesBlindly reports whether overwrite may take the place of load and set: nothing
// depends on the row before. (If rows have a TTL, enter has read it.)
func (t *rows[K, R, A]) writesBlindly() bool {
	return !t.updates.needOld() && !t.final && t.versions == nil
}

// overwrite is set of a row that was not read. The row's timestamp is that of the store
// and the changelog.
func (t *rows[K, R, A]) overwrite(keyBytes []byte, key K, value A, present bool, at processor.Timestamp, by cause) error {
	cell, err := t.cells.Put(keyBytes, key, value, present, int64(at), t.originOf(&by))
	if err == nil && t.everyUpdate {
		t.prepare(cell, int64(at), by.headers)
	}
	return err
}

// change is set with a timestamp of its own in the store and its changelog.
func (t *rows[K, R, A]) change(cell *engine.Cell[K, A], value A, present bool, at, logged processor.Timestamp, by cause) error {
	if t.versions != nil {
		return t.changeVersion(cell, value, present, at, by)
	}
	old, had := cell.Value, cell.Present
	if err := t.cells.Set(cell, value, present, int64(logged), t.originOf(&by)); err != nil {
		return err
	}
	switch {
	case t.final:
		if present && !had && t.opened != nil {
			t.opened(cell, t.endOf(cell))
		}
	case t.everyUpdate:
		t.prepare(cell, int64(at), by.headers)
		t.updates.setOld(old, had)
	}
	return nil
}

// changeVersion is change of a row whose versions are kept. The store and its changelog
// have the same timestamp.
func (t *rows[K, R, A]) changeVersion(cell *engine.Cell[K, A], value A, present bool, at processor.Timestamp, by cause) error {
	old, had := cell.Value, cell.Present
	key, encoding := t.keyOf(cell)
	newest, kept, err := t.versions.PutCell(cell, value, present, int64(at), t.origin(by.headers))
	if err != nil {
		return err
	}
	if t.unsent = !kept; !kept {
		t.drop(tooOldVersion)
		return nil
	}
	if t.everyUpdate {
		t.updates.set(key, encoding, value, present, int64(at), by.headers)
		t.updates.out.Earlier = !newest
		t.updates.setOld(old, had)
	}
	return nil
}

// emit sends the update of the row that was set last, if every update is sent.
func (t *rows[K, R, A]) emit() error {
	if !t.everyUpdate || t.final || t.unsent {
		return nil
	}
	return t.updates.send()
}

// time returns the timestamp of a row's update.
func (t *rows[K, R, A]) time(cell *engine.Cell[K, A]) int64 {
	if t.timeOf != nil {
		return t.timeOf(cell)
	}
	return cell.Timestamp
}

// prepare sets the next update to the row of a cell.
func (t *rows[K, R, A]) prepare(cell *engine.Cell[K, A], at int64, headers processor.Headers) {
	key, encoding := t.keyOf(cell)
	t.updates.set(key, encoding, cell.Value, cell.Present, at, headers)
}

// flush sends the rows that have changed since the last commit.
func (t *rows[K, R, A]) flush() error {
	for cell := range t.cells.Dirty() {
		if err := t.flushRow(cell); err != nil {
			return err
		}
	}
	return nil
}

func (t *rows[K, R, A]) flushRow(cell *engine.Cell[K, A]) error {
	if t.updates.needOld() || !cell.Present && !t.everyDeletion {
		old, _, had, err := t.cells.Old(cell)
		if err != nil {
			return t.broken(err)
		}
		if !cell.Present && !had && !t.everyDeletion {
			return nil // the row was created and deleted
		}
		t.updates.setOld(old, had)
	}
	origin := t.cells.Origin(cell)
	t.prepare(cell, t.time(cell), origin.Headers)
	t.flushing(origin)
	return t.updates.send()
}
