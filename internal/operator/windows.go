package operator

import (
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// AggregateWindows folds the records of each key and window into a row of a table.
// Records without a key are dropped.
type AggregateWindows[K, V, A any] struct {
	Store       string // the store's name
	Keys        serde.Serde[K]
	Values      serde.Serde[A]
	Add         Adder[K, V, A]
	Span        Span
	DropAbsent  bool // drop records without a value
	EveryUpdate bool // send each update, even if the application merges updates

	// Lag is how much longer, in ms, the store keeps rows than one input needs them.
	Lag int64
}

// windowStore is the part of a store's instance that a windowed operator needs. Its cells
// hide no expired window and refuse no late one: the operator decides which records are
// late. The Key of a cell is the key without the window.
type windowStore[K, A any] interface {
	cellStore[K, A]

	// AppendKey appends the key of a cell. Start returns the start of the window in such
	// a key.
	AppendKey(dst, key []byte, start int64) []byte
	Start(cellKey []byte) int64

	// Observe tells the store the start of a window that is written. Older rows expire by
	// it.
	Observe(start int64)

	// Time returns the largest start of a window that was ever written, -1 if there is
	// none.
	Time() int64

	// DeletedBefore returns a time. All rows of windows that start earlier were deleted
	// before the store was opened.
	DeletedBefore() int64

	// Newest returns a stream time that the operator had reached before its committed
	// time was lost. It returns -1 if the time was not lost.
	Newest() int64

	// Marks returns a list of n marks for windows of a key. The caller keeps the marks of
	// the key's rows there. The list may be used until the next call; it may be empty
	// again then.
	Marks(key []byte, n int) []engine.WindowMark
}

// New makes the node's instance for one task.
func (c AggregateWindows[K, V, A]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s, err := storeOf[windowStore[K, A]](t, c.Store)
	if err != nil {
		return nil, err
	}
	w := &windows[K, V, A]{
		folding: folding[K, V, serde.Windowed[K], A]{keys: keyEncoder[K]{serde: c.Keys}, add: c.Add},
		store:   s, open: openSince(s.DeletedBefore(), 0), span: c.Span, dropAbsent: c.DropAbsent, clock: openClock(t, n, s.Newest(), c.Lag),
	}
	if overlap := c.Span.overlap(); overlap >= leastMarks && overlap <= mostMarks {
		w.marks = int(overlap)
	}
	if w.folding.rows, err = openRows[K, serde.Windowed[K]](base{t, n}, s, c.Values, c.EveryUpdate, children); err != nil {
		return nil, err
	}
	w.folding.rows.keyOf, w.folding.rows.endOf = w.windowed, w.end
	w.folding.rows.start()
	w.closing, err = openClosing(&w.folding.rows, c.Store, *w.newest, c.Span.Size, c.Span.Grace, nil)
	w.closesWhenIdle(t, n, c.Span.Grace, func() int64 { return endOfLast(s.Time(), c.Span.Size) }, func() (bool, error) {
		return w.closing.sendDue(*w.newest)
	})
	return w, err
}

type windows[K, V, A any] struct {
	folding folding[K, V, serde.Windowed[K], A]
	clock
	store      windowStore[K, A]
	open       int64 // windows that start earlier are closed: see openSince
	span       Span
	dropAbsent bool
	closing    *closing[K, A]
	marks      int           // of a key; 0: the windows overlap too little, or too much
	origin     engine.Origin // of the record, if there are marks
	row        []byte        // scratch
}

// The numbers of overlapping windows for which marks are kept. With fewer, a mark saves
// nothing. More would take too much memory.
const leastMarks, mostMarks = 3, 256

func (w *windows[K, V, A]) Receive(r *graph.Record[K, V]) error {
	switch {
	case r.NoKey:
		w.folding.rows.drop(nullKey)
		return nil
	case r.NoValue && w.dropAbsent:
		w.folding.rows.drop(nullValue)
		return nil
	}
	w.advance(r.Timestamp)
	key, err := w.folding.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		_, failure := w.folding.rows.failed(err, nil)
		return failure
	}
	if err := w.receiveAll(r, key); err != nil {
		return err
	}
	return w.closing.send(*w.newest, r.Headers)
}

// receiveAll takes the record into its windows.
func (w *windows[K, V, A]) receiveAll(r *graph.Record[K, V], key []byte) error {
	first, last, step := w.span.starts(int64(r.Timestamp))
	var marks []engine.WindowMark
	if w.marks > 0 {
		marks = w.store.Marks(key, w.marks)
		w.origin = w.folding.rows.origin(r.Headers)
		w.folding.from = &w.origin
	}
	for start := first; start <= last; start += step {
		var mark *engine.WindowMark
		if w.marks > 0 {
			mark = &marks[start/step%int64(w.marks)]
		}
		if ok, err := w.receive(r, key, start, mark); !ok {
			return err
		}
		if start > math.MaxInt64-step {
			break
		}
	}
	return nil
}

// receive adds the record to one window. It returns false if a user function failed. The
// record is then added to no further window, and the windows before keep it. The error
// policy is therefore asked, and a dead letter written, only once for each record. mark
// may be that of the window; nil: no marks are kept.
func (w *windows[K, V, A]) receive(r *graph.Record[K, V], key []byte, start int64, mark *engine.WindowMark) (ok bool, failure error) {
	if end := w.span.end(start); w.span.closed(end, int64(w.late)) || w.closing.passed(end) || start < w.open {
		w.folding.rows.drop(lateRecord)
		return true, nil
	}
	var cell *engine.Cell[K, A]
	if mark != nil && mark.Start == start {
		cell = w.folding.rows.cells.Marked(mark.Mark, r.Key)
	}
	if cell == nil {
		w.row = w.store.AppendKey(w.row[:0], key, start)
	}
	if cell, failure = w.folding.fold(r, cell, w.row); cell == nil {
		return false, failure
	}
	if mark != nil {
		*mark = engine.WindowMark{Start: start, Mark: w.folding.rows.cells.Mark(cell)}
	}
	w.store.Observe(start)
	failure = w.folding.rows.emit()
	return failure == nil, failure
}

// end returns the end of a cell's window.
func (w *windows[K, V, A]) end(cell *engine.Cell[K, A]) int64 {
	return w.span.end(w.store.Start(cell.KeyBytes()))
}

func (w *windows[K, V, A]) windowed(cell *engine.Cell[K, A]) (serde.Windowed[K], []byte) {
	start := w.store.Start(cell.KeyBytes())
	return serde.Windowed[K]{Key: cell.Key, Window: serde.Window{Start: start, End: w.span.end(start)}}, nil
}
