package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/operator"
)

// Final makes the table send each row once, when its window is closed, and not its
// updates before:
//
//	minutes := topology.Tumbling(time.Minute).Grace(5*time.Second)
//	perMinute := byUser.Window(minutes).Count("per-minute").Final()
//
// A window is closed when the operator's stream time is past its end and the grace; see
// [Windowed] and [Sessions]. The record that moves stream time so far sends the rows of
// all windows that it closes: by start and key, and sessions by end, start and key. Each
// has the timestamp of the row and the headers of that record. On a stream without new
// records no window is closed. A row that an aggregator has deleted is not sent.
//
// A late record is dropped, and counted as dropped, as always, so what was sent stays as
// it is. For that reason a session that was sent is not taken in by a later one: a record
// that lies between it and an open session makes the open one longer only. What is closed
// stays closed if a later version of the program has a longer grace. A version with a
// shorter one sends the windows that are closed by it at its first record.
//
// The table has the rows of closed windows only, for its operators and for joins. Queries
// of the store see the others too. The rows that were not sent yet are known in memory,
// with some 32 bytes and the key for each; the rows themselves are in the store.
//
// Call Final before other operators on the table. EveryUpdate contradicts it, and a
// window without an end is never closed: both are errors of Build.
func (t WindowedTable[K, V]) Final() WindowedTable[K, V] {
	b := t.b
	switch {
	case t.windows.kind == unlimited:
		b.problem("%v: its window never ends, so Final would never send anything: use other windows, or remove Final", t.n)
	case t.n.everyUpdate:
		b.problem("%v: EveryUpdate sends each update, and Final only the last one of a window: remove one of them", t.n)
	case slices.ContainsFunc(b.nodes, func(n *node) bool { return slices.Contains(n.parents, t.n) }):
		b.problem("%v: Final is called after other operators on the table, which would not get its updates then: call it first", t.n)
	}
	t.n.final = true
	if view, ok := t.rows.view.(operator.WindowRows[K, V]); ok {
		view.Final = true
		t.rows.view = view
	}
	return t
}
