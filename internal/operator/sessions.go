package operator

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// AggregateSessions folds the records of each key and session into a row of a table.
// Records without a key are dropped.
//
// The algorithm is that of Kafka Streams' KStreamSessionWindowAggregate. A record begins
// as a session of its own. It absorbs all sessions that are at most a gap away.
type AggregateSessions[K, V, A any] struct {
	Store       string // the store's name
	Keys        serde.Serde[K]
	Values      serde.Serde[A]
	Add         Adder[K, V, A]
	Merge       Merger[A]
	Gap, Grace  int64 // ms
	Retention   int64 // ms, of the store
	DropAbsent  bool  // drop records without a value
	EveryUpdate bool  // send each update, even if the application merges updates
	Lag         int64 // ms; see AggregateWindows
}

// Merger makes one aggregate of the aggregates of two sessions. a belongs to the earlier
// session. The merger may change a in place.
type Merger[A any] func(a, b A) (A, error)

// sessionStore is the part of a store's instance that the operator of sessions needs. Its
// cells hide no expired session and refuse no late one: the operator decides which
// records are late. The Key of a cell is the key without the session.
type sessionStore[K, A any] interface {
	windowCells[K, A]

	// Session and WithoutWindow return the parts of a cell's key.
	Session(cellKey []byte) serde.Window
	WithoutWindow(cellKey []byte) []byte
	// AppendSessions appends the sessions of a key with end >= from and start <= to, by
	// end.
	AppendSessions(dst []serde.Window, key []byte, from, to int64) ([]serde.Window, error)

	// Time returns the largest end of a session that was ever written, -1 if there is
	// none.
	Time() int64

	// DeletedBefore returns a time. All rows of sessions that end earlier were deleted
	// before the store was opened.
	DeletedBefore() int64

	// Newest returns a stream time that the operator had reached before its committed
	// time was lost. It returns -1 if the time was not lost.
	Newest() int64

	// The following methods are about the key of the last AppendSessions.

	// Merged tells the store that a session replaces all sessions that AppendSessions has
	// found. Older sessions expire by its end.
	Merged(session serde.Window)
	// Gone tells the store that the sessions that AppendSessions has found no longer
	// exist.
	Gone(key []byte)
	// Mark returns the mark of the row of a session. SetMark sets it. The store keeps the
	// mark of one session of each key.
	Mark(session serde.Window) engine.Mark
	SetMark(session serde.Window, m engine.Mark)
}

// New makes the node's instance for one task.
func (c AggregateSessions[K, V, A]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	store, err := storeOf[sessionStore[K, A]](t, c.Store)
	if err != nil {
		return nil, err
	}
	s := &sessions[K, V, A]{
		config: c, store: store, keys: keyEncoder[K]{serde: c.Keys}, clock: openClock(t, n, store.Newest(), c.Lag),
	}
	if s.rows, err = openRows[K, serde.Windowed[K]](base{t, n}, store, c.Values, c.EveryUpdate, children); err != nil {
		return nil, err
	}
	s.rows.deletable() // if a session grows, its old row is deleted
	s.rows.keyOf, s.rows.timeOf = s.windowed, s.end
	s.rows.start()
	if err := s.openClosing(); err != nil {
		return nil, err
	}
	s.closesWhenIdle(t, n, c.Gap+c.Grace+1, store.Time, func() (bool, error) {
		if !s.closing.due(*s.newest) {
			return false, nil
		}
		return true, s.sendClosed(nil)
	})
	return s, nil
}

type sessions[K, V, A any] struct {
	rows rows[K, serde.Windowed[K], A]
	clock
	config  AggregateSessions[K, V, A]
	store   sessionStore[K, A]
	keys    keyEncoder[K]
	closing *closing[K, A]

	found    []serde.Window       // the sessions that the record touches
	cells    []*engine.Cell[K, A] // of found
	row, own []byte               // scratch
	ending   [][]byte             // see findEnding
}

func (s *sessions[K, V, A]) Receive(r *graph.Record[K, V]) error {
	switch {
	case r.NoKey:
		s.rows.drop(nullKey)
		return nil
	case r.NoValue && s.config.DropAbsent:
		s.rows.drop(nullValue)
		return nil
	}
	s.advance(r.Timestamp)
	key, err := s.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		_, failure := s.rows.failed(err, nil)
		return failure
	}
	session, err := s.find(key, int64(r.Timestamp))
	switch {
	case err != nil:
		return s.rows.broken(err)
	case session.End < s.closed():
		s.rows.drop(lateRecord)
		return nil
	}
	value, there, err := s.fold(r, key)
	there = there && !s.rows.absent.is(value)
	if err == nil && there && s.rows.everyUpdate {
		// The value is logged at once, after the deletions of the absorbed sessions.
		err = s.rows.cells.Encodable(value)
	}
	if err != nil {
		_, failure := s.rows.failed(err, nil)
		return failure
	}
	if err := s.replace(r, key, session, value, there); err != nil {
		return err
	}
	return s.sendClosed(r.Headers)
}

// closed returns a time. A session that ends before it is closed.
func (s *sessions[K, V, A]) closed() int64 {
	closed := max(int64(s.late)-s.config.Grace-s.config.Gap, openSince(s.store.DeletedBefore(), s.config.Gap))
	if s.closing != nil {
		closed = max(closed, int64(*s.closing.until)+1)
	}
	return closed
}

// find finds the sessions that a record with the timestamp touches. It returns the
// session that the record makes together with them.
func (s *sessions[K, V, A]) find(key []byte, at int64) (session serde.Window, err error) {
	session = serde.Window{Start: at, End: at}
	to := engine.Later(at, s.config.Gap)
	// An expired session is not absorbed. The result must not depend on when the session
	// is deleted.
	from := max(at-s.config.Gap, int64(*s.newest)-s.config.Retention+1, s.store.DeletedBefore())
	if s.closing != nil {
		// A session that was sent stays as it is.
		from = max(from, int64(*s.closing.until)+1)
	}
	s.found, err = s.store.AppendSessions(s.found[:0], key, from, to)
	for _, f := range s.found {
		session.Start, session.End = min(session.Start, f.Start), max(session.End, f.End)
	}
	return session, err
}

// fold makes the value of the session from the values of the sessions that were found and
// the record. If it fails, no row has changed.
func (s *sessions[K, V, A]) fold(r *graph.Record[K, V], key []byte) (value A, there bool, err error) {
	defer graph.Guard(&err)
	var last A
	exists := false
	s.cells = s.cells[:0]
	for _, f := range s.found {
		cell := s.rows.cells.Marked(s.store.Mark(f), r.Key)
		if cell == nil {
			if cell, err = s.rows.cells.Load(s.rowKey(key, f), r.Key); err != nil {
				return value, false, graph.Final(err)
			}
		}
		s.cells = append(s.cells, cell)
		before, err := s.rows.value(cell)
		switch {
		case err != nil:
			return value, false, graph.Final(err)
		case !exists:
			if last = before; len(s.found) > 1 {
				// The merger may change the value in place and then fail.
				if last, err = s.rows.cells.Copy(cell); err != nil {
					return value, false, graph.Final(err)
				}
			}
			exists = true
		default:
			if last, err = s.config.Merge(last, before); err != nil {
				return value, false, err
			}
		}
	}
	return s.config.Add(last, exists, r)
}

// rowKey returns the key of a session's cell. It is valid until the next call.
func (s *sessions[K, V, A]) rowKey(key []byte, session serde.Window) []byte {
	s.row = s.store.AppendWindow(s.row[:0], key, session)
	return s.row
}

// replace puts the session in place of the sessions that were found. It sends the updates
// if every update is sent.
func (s *sessions[K, V, A]) replace(r *graph.Record[K, V], key []byte, session serde.Window, value A, there bool) error {
	by := cause{timestamp: r.Timestamp, headers: r.Headers}
	cell, err := s.clear(key, session, there, by)
	if err != nil {
		return err
	}
	if !there {
		s.store.Gone(key)
		if cell == nil {
			return nil
		}
		return s.put(cell, value, false, session, by)
	}
	if cell == nil {
		cell = s.rows.cells.LoadNew(s.rowKey(key, session), r.Key)
	}
	s.store.Merged(session)
	if s.closing != nil && len(s.found) == 0 {
		s.closing.index.Add(session.End, sessionMark(key, session))
	}
	if err := s.put(cell, value, true, session, by); err != nil {
		return err
	}
	s.store.SetMark(session, s.rows.cells.Mark(cell))
	return nil
}

// clear deletes the sessions that were found. It keeps a cell that is the new session or
// can become it, and returns that cell. It returns nil if there is none.
func (s *sessions[K, V, A]) clear(key []byte, session serde.Window, there bool, by cause) (kept *engine.Cell[K, A], failure error) {
	same := slices.Contains(s.found, session)
	for i, f := range s.found {
		cell := s.cells[i]
		switch {
		case f == session && s.stays(f):
			kept = cell
		case there && !same && kept == nil && s.rename(cell, key, session):
			kept = cell
		default:
			var none A
			if err := s.put(cell, none, false, f, by); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// stays reports whether a session whose bounds do not change is updated in place. If
// every update is sent, it is deleted and made again, as in Kafka Streams, unless it is a
// single moment.
func (s *sessions[K, V, A]) stays(session serde.Window) bool {
	return !s.rows.everyUpdate || session.Start == session.End
}

// rename makes the cell of one session the cell of another one. It returns false if the
// first session may already have been seen: see [engine.Cells.Rename].
func (s *sessions[K, V, A]) rename(cell *engine.Cell[K, A], key []byte, to serde.Window) bool {
	s.own = s.store.AppendWindow(s.own[:0], key, to)
	return s.rows.cells.Rename(cell, s.own)
}

// put changes the row of a session, and sends the update if every update is sent.
func (s *sessions[K, V, A]) put(cell *engine.Cell[K, A], value A, present bool, session serde.Window, by cause) error {
	if err := s.rows.change(cell, value, present, processor.Timestamp(session.End), by.timestamp, by); err != nil {
		return s.rows.broken(err)
	}
	return s.rows.emit()
}

func (s *sessions[K, V, A]) windowed(cell *engine.Cell[K, A]) (serde.Windowed[K], []byte) {
	return serde.Windowed[K]{Key: cell.Key, Window: s.store.Session(cell.KeyBytes())}, nil
}

// end returns the timestamp of the updates of a session.
func (s *sessions[K, V, A]) end(cell *engine.Cell[K, A]) int64 {
	return s.store.Session(cell.KeyBytes()).End
}
