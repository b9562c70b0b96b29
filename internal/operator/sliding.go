package operator

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// AggregateSliding folds the records of each key and sliding window into a row of a
// table. Records without a key or without a value are dropped.
//
// A window is [start, start+Size], both ends included. Each record has two windows, and a
// window of one record may also be a window of another one:
//
//   - The left window ends at the record.
//   - The right window begins one millisecond after the record. It exists if it has a
//     record.
//
// The algorithm is that of Kafka Streams' KStreamSlidingWindowAggregate. The timestamp of
// a row is the largest timestamp of its records.
type AggregateSliding[K, V, A any] struct {
	Store       string // the store's name
	Keys        serde.Serde[K]
	Values      serde.Serde[A]
	Add         Adder[K, V, A]
	Size, Grace int64 // ms
	EveryUpdate bool  // send each update, even if the application merges updates
	Lag         int64 // ms; see AggregateWindows
}

// slidingStore is the part of a store's instance that the operator of sliding windows
// needs.
type slidingStore[K, A any] interface {
	windowStore[K, A]

	// Windows returns the windows of a key that start at from or later, or more of them.
	// The list must be told of each window that is written. It may be used until the next
	// call.
	Windows(key []byte, from int64) (*engine.WindowList, error)
}

// New makes the node's instance for one task.
func (c AggregateSliding[K, V, A]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	store, err := storeOf[slidingStore[K, A]](t, c.Store)
	if err != nil {
		return nil, err
	}
	s := &sliding[K, V, A]{
		folding: folding[K, V, serde.Windowed[K], A]{keys: keyEncoder[K]{serde: c.Keys}, add: c.Add},
		store:   store, open: openSince(store.DeletedBefore(), engine.Later(c.Size, c.Size)), size: c.Size, grace: c.Grace, clock: openClock(t, n, store.Newest(), c.Lag),
	}
	if s.folding.rows, err = openRows[K, serde.Windowed[K]](base{t, n}, store, c.Values, c.EveryUpdate, children); err != nil {
		return nil, err
	}
	s.folding.rows.keyOf, s.folding.rows.endOf = s.windowed, s.endOfCell
	s.folding.rows.start()
	s.closing, err = openClosing(&s.folding.rows, c.Store, *s.newest, c.Size, c.Grace+1, nil)
	s.closesWhenIdle(t, n, c.Grace+1, func() int64 { return endOfLast(store.Time(), c.Size) }, func() (bool, error) {
		return s.closing.sendDue(*s.newest)
	})
	return s, err
}

type sliding[K, V, A any] struct {
	folding folding[K, V, serde.Windowed[K], A]
	clock
	store       slidingStore[K, A]
	size, grace int64
	open        int64 // windows that end earlier are closed: see openSince
	closing     *closing[K, A]

	origin engine.Origin // of the record
	row    []byte        // scratch
}

func (s *sliding[K, V, A]) Receive(r *graph.Record[K, V]) error {
	switch {
	case r.NoKey:
		s.folding.rows.drop(nullKey)
		return nil
	case r.NoValue:
		s.folding.rows.drop(nullValue)
		return nil
	}
	s.advance(r.Timestamp)
	if s.closed(int64(r.Timestamp)) {
		s.folding.rows.drop(lateRecord) // every window that holds it is closed
		return nil
	}
	key, err := s.folding.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		_, failure := s.folding.rows.failed(err, nil)
		return failure
	}
	s.origin = s.folding.rows.origin(r.Headers)
	s.folding.from = &s.origin
	at := int64(r.Timestamp)
	// A window further back has only records that share no window with this one.
	from := max(0, at-2*s.size)
	windows, err := s.store.Windows(key, from)
	if err != nil {
		return s.folding.rows.broken(err)
	}
	slide := slide[K, V, A]{of: s, rows: &s.folding.rows, r: r, key: key, at: at, from: from, windows: windows}
	if at < s.size {
		err = slide.early()
	} else {
		err = slide.receive()
	}
	if err != nil {
		return err
	}
	return s.closing.send(*s.newest, r.Headers)
}

// closed reports whether the window with the start accepts no more records.
func (s *sliding[K, V, A]) closed(start int64) bool {
	end := s.end(start)
	return end < int64(s.late)-s.grace || s.closing.passed(end) || end < s.open
}

// end returns the end of the window with the start.
func (s *sliding[K, V, A]) end(start int64) int64 { return engine.Later(start, s.size) }

// endOfCell returns the end of a cell's window.
func (s *sliding[K, V, A]) endOfCell(cell *engine.Cell[K, A]) int64 {
	return s.end(s.store.Start(cell.KeyBytes()))
}

func (s *sliding[K, V, A]) windowed(cell *engine.Cell[K, A]) (serde.Windowed[K], []byte) {
	start := s.store.Start(cell.KeyBytes())
	return serde.Windowed[K]{Key: cell.Key, Window: serde.Window{Start: start, End: s.end(start)}}, nil
}

// rowKey returns the key of a window's cell. It is valid until the next call.
func (s *sliding[K, V, A]) rowKey(key []byte, start int64) []byte {
	s.row = s.store.AppendKey(s.row[:0], key, start)
	return s.row
}

// slide adds one record to its windows.
type slide[K, V, A any] struct {
	of   *sliding[K, V, A]
	rows *rows[K, serde.Windowed[K], A] // of
	r    *graph.Record[K, V]
	key  []byte
	at   int64 // the record's timestamp

	windows *engine.WindowList // the windows of the key; complete from the time from on
	from    int64

	// done reports that an error of a user function was skipped. The record is then added
	// to no further window.
	done bool

	looked  bool  // look was called
	right   A     // the aggregate of the right window: that of the later records
	rightAt int64 // its timestamp; 0 if no right window has to be made
}

// receive adds a record whose timestamp is at least Size. It updates the existing windows
// in descending order of start. Then it adds windows: the right window of the record
// before, and the left and right window of this record.
func (s *slide[K, V, A]) receive() error {
	left := false       // the left window of the record exists
	before := int64(-1) // the timestamp of the record before
	base := int64(-1)   // the start of a window whose last record is the record before
	near := s.windows.Since(s.from)
	for i := len(near) - 1; i >= 0 && base < 0; i-- {
		start, last := near[i].Start, near[i].Last
		if start > s.at {
			continue // the right window of the record, or of a later one
		}
		switch own := s.at - s.of.size; { // the start of the record's left window
		case start < own:
			base, before = start, last
			continue
		case start == own:
			left = true
			if last < s.at {
				before = last
			}
		case !s.looked:
			if err := s.look(near[i]); err != nil {
				return s.rows.broken(err)
			}
		}
		if err := s.update(&near[i]); err != nil || s.done {
			return err
		}
		if left && last == s.at {
			return nil // a record with the same timestamp has already made all windows
		}
	}
	return s.complete(left, before, base)
}

// complete adds the windows that are missing. A right window that ends at the record is
// also its left window. As in Kafka Streams, it is then made twice, and has two updates.
func (s *slide[K, V, A]) complete(left bool, before, base int64) error {
	if after := before + 1; before >= 0 && s.of.end(after) >= s.at && !s.windows.Has(after) {
		if err := s.begin(after, -1); err != nil || s.done {
			return err
		}
	}
	if !left {
		if before < s.at-s.of.size {
			base = -1
		}
		if err := s.begin(s.at-s.of.size, base); err != nil || s.done {
			return err
		}
	}
	return s.beginRight()
}

// early adds a record whose timestamp is less than Size. All such records share the
// window that starts at 0.
func (s *slide[K, V, A]) early() error {
	before, combined := int64(-1), false
	if w, ok := s.windows.Find(0); ok {
		if combined = true; w.Last < s.at {
			before = w.Last
		}
	}
	if failed, err := s.updateSince(1); failed {
		return err
	}
	if combined && !s.looked {
		// Without a record before this one, the combined window holds the later records.
		if err := s.look(s.listed(0)); err != nil {
			return s.rows.broken(err)
		}
	}
	if err := s.beginRight(); err != nil {
		return err
	}
	if before >= 0 && !s.windows.Has(before+1) {
		if err := s.begin(before+1, -1); err != nil || s.done {
			return err
		}
	}
	if combined {
		return s.update(&s.windows.Since(0)[0])
	}
	return s.begin(0, -1)
}

// updateSince adds the record to the windows that start at from or later, and not after
// the record. done reports that the record is added to no further window.
func (s *slide[K, V, A]) updateSince(from int64) (done bool, failure error) {
	for near := s.windows.Since(from); len(near) > 0; {
		w := near[0]
		if w.Start > s.at {
			break // the right window of the record, or of a later one
		}
		if err := s.look(w); err != nil {
			return true, s.rows.broken(err)
		}
		if err := s.update(&near[0]); err != nil || s.done {
			return true, err
		}
		near = s.windows.Since(w.Start + 1) // the list may have lost the window
	}
	return false, nil
}

// listed returns the window with a start.
func (s *slide[K, V, A]) listed(start int64) engine.ListedWindow {
	w, ok := s.windows.Find(start)
	if !ok {
		w.Start = start
	}
	return w
}

// marked returns the cell of a window by its mark, or nil.
func (s *slide[K, V, A]) marked(w engine.ListedWindow) *engine.Cell[K, A] {
	return s.rows.cells.Marked(w.Mark, s.r.Key)
}

// load returns the cell of a window.
func (s *slide[K, V, A]) load(w engine.ListedWindow) (*engine.Cell[K, A], error) {
	if cell := s.marked(w); cell != nil {
		return cell, nil
	}
	return s.rows.cells.Load(s.of.rowKey(s.key, w.Start), s.r.Key)
}

// look takes the aggregate of the later records from a window that begins before the
// record. It must be called before the record is added to that window.
func (s *slide[K, V, A]) look(w engine.ListedWindow) error {
	s.looked, s.rightAt = true, 0
	cell, err := s.load(w)
	if err != nil || cell.Timestamp <= s.at || s.windows.Has(engine.Later(s.at, 1)) {
		return err
	}
	s.rightAt = cell.Timestamp
	s.right, err = s.rows.cells.Copy(cell)
	return err
}

// update adds the record to an existing window, an element of the list of windows.
func (s *slide[K, V, A]) update(w *engine.ListedWindow) error {
	if s.of.closed(w.Start) {
		s.rows.drop(lateRecord)
		return nil
	}
	cell := s.marked(*w)
	if cell == nil {
		s.of.row = s.of.rowKey(s.key, w.Start)
	}
	cell, failure := s.of.folding.fold(s.r, cell, s.of.row)
	if cell == nil {
		s.done = true
		return failure
	}
	if cell.Present {
		w.Last, w.Mark = cell.Timestamp, s.rows.cells.Mark(cell)
	} else {
		s.windows.Remove(w.Start)
	}
	return s.rows.emit()
}

// begin makes a window with the record. The window starts with the aggregate of the
// window that starts at base. If base is -1, it starts empty.
func (s *slide[K, V, A]) begin(start, base int64) error {
	if s.of.closed(start) {
		s.rows.drop(lateRecord)
		return nil
	}
	value, there, err := s.first(base)
	if err != nil {
		_, failure := s.rows.failed(err, nil)
		s.done = true
		return failure
	}
	return s.put(start, value, there && !s.rows.absent.is(value), s.r.Timestamp)
}

// first makes the first aggregate of a window: the aggregate of the window that starts at
// base, plus the record.
func (s *slide[K, V, A]) first(base int64) (value A, there bool, err error) {
	defer graph.Guard(&err)
	if base < 0 {
		return s.of.folding.add(value, false, s.r)
	}
	cell, err := s.load(s.listed(base))
	if err != nil {
		return value, false, graph.Final(err)
	}
	if value, err = s.rows.cells.Copy(cell); err != nil {
		return value, false, graph.Final(err)
	}
	return s.of.folding.add(value, cell.Present, s.r)
}

// beginRight makes the right window of the record. The record is not in it.
func (s *slide[K, V, A]) beginRight() error {
	if s.rightAt == 0 {
		return nil
	}
	return s.put(engine.Later(s.at, 1), s.right, true, processor.Timestamp(s.rightAt))
}

// put sets the row of a new window.
func (s *slide[K, V, A]) put(start int64, value A, there bool, at processor.Timestamp) error {
	cell := s.rows.cells.LoadNew(s.of.rowKey(s.key, start), s.r.Key)
	if err := s.rows.set(cell, value, there, at, cause{s.r.Timestamp, s.r.Headers, &s.of.origin}); err != nil {
		_, failure := s.rows.failed(err, nil)
		s.done = true
		return failure
	}
	s.of.store.Observe(start)
	if cell.Present {
		s.windows.Set(engine.ListedWindow{Start: start, Last: cell.Timestamp, Mark: s.rows.cells.Mark(cell)})
	} else {
		s.windows.Remove(start)
	}
	return s.rows.emit()
}
