package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/operator"
)

// Final makes the table send each row once, when the window of the row is closed. Without
// Final, the table sends each update.
//
//	minutes := topology.Tumbling(time.Minute).Grace(5*time.Second)
//	perMinute := byUser.Window(minutes).Count("per-minute").Final()
//
// A window is closed when the aggregation's stream time has passed its end by the grace;
// see [Windowed] and [Sessions]. The record that moves the stream time that far also
// makes the table send the rows of all windows that it closes. Without new records, no
// window is closed, unless the aggregation has the option [IdleAfter].
//
//   - The rows come in order of start and key; sessions in order of end, start and key.
//   - A row has its own timestamp, and the headers of the record that closed the window.
//   - A row that an aggregator has deleted is not sent.
//   - A late record is dropped, and counted as dropped. Each window therefore has at most
//     one result.
//   - A session that was sent is not merged with later records. If a record lies between
//     such a session and an open one, it extends only the open one.
//   - A longer grace in a later version of the program does not open closed windows
//     again. If the grace is shorter, the next record sends the windows that are closed
//     now.
//
// Operators and joins see only the rows of closed windows. Queries of the store see all
// rows. For each row that was not sent yet, the task keeps the key and some 32 bytes in
// memory.
//
// Call Final before any other operator on the table. Build returns an error if the
// windows are [Unlimited], or if the table has the option [EveryUpdate].
func (t WindowedTable[K, V]) Final() WindowedTable[K, V] {
	b := t.b
	switch {
	case t.windows.kind == unlimited:
		b.problem("%v: its window never ends, so Final would never send anything: use other windows, or remove Final", t.n)
	case t.n.everyUpdate:
		b.problem("%v: EveryUpdate sends each update, and Final sends only the last one of a window: remove one of them", t.n)
	case slices.ContainsFunc(b.nodes, func(n *node) bool { return slices.Contains(n.parents, t.n) }):
		b.problem("%v: Final is called after other operators were attached to the table, and would take their updates away: call it first", t.n)
	}
	t.n.final, t.n.one = true, true
	if view, ok := t.rows.view.(operator.WindowRows[K, V]); ok {
		view.Final = true
		t.rows.view = view
	}
	return t
}
