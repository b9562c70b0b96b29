package topology

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
)

// Suppression says for how long [Table.Suppress] holds updates back: [UntilClosed] or
// [UntilTimeLimit].
type Suppression struct {
	kind                 suppressionKind
	limit                time.Duration
	maxRecords, maxBytes int64
	bounded, failFull    bool
}

type suppressionKind int

const (
	noSuppression suppressionKind = iota
	untilClosed
	untilTimeLimit
)

// UntilClosed holds the row of a window back until the window is closed, so that only its
// last value goes on. The table must be that of a windowed aggregation, or be made of one
// by Filter, MapTable or a join of tables. A window is closed by the stream time of the
// aggregation, in front of which nothing is held back; see [Windowed] and [Sessions].
// With several aggregations, it is closed when it is for all of them.
//
// If the aggregation itself is all that is needed, [WindowedTable.Final] does the same
// without a buffer.
func UntilClosed() Suppression { return Suppression{kind: untilClosed} }

// UntilTimeLimit holds a row back until the stream time of the updates is d past the
// first update that is held back. The updates of the row in between are merged. With d =
// 0, updates go on as they come.
func UntilTimeLimit(d time.Duration) Suppression {
	return Suppression{kind: untilTimeLimit, limit: d}
}

// MaxRecords bounds the number of rows that a task holds back. If there are more, what
// happens depends on the kind: with UntilTimeLimit, the first rows go on before their
// time, which is logged; with UntilClosed, Run ends with an error, since a row must not
// go on before its window is closed. Default: no bound. The rows are on disk, and some 32
// bytes and the key of each in memory.
func (s Suppression) MaxRecords(n int64) Suppression {
	s.maxRecords, s.bounded = n, true
	return s
}

// MaxBytes bounds the bytes that a task holds back. The rest is as for MaxRecords. A row
// counts with its key, its values in the buffer (the last one, the one before and the one
// that went on last), its headers and some 20 bytes more, as in Kafka Streams.
func (s Suppression) MaxBytes(n int64) Suppression {
	s.maxBytes, s.bounded = n, true
	return s
}

// FailWhenFull makes Run end with an error if a bound is exceeded.
func (s Suppression) FailWhenFull() Suppression {
	s.failFull = true
	return s
}

// String describes the suppression, such as "until 10s".
func (s Suppression) String() string {
	switch s.kind {
	case untilClosed:
		return "until closed"
	case untilTimeLimit:
		return fmt.Sprintf("until %v", s.limit)
	}
	return "no suppression"
}

// Suppress holds the updates of the table back, and merges those of a row:
//
//	calm := counts.Suppress("calm", topology.UntilTimeLimit(10*time.Second))
//
// name is the name of the result and of its store, which has the rows that are held back.
// The changelog is <app>-<name>-changelog, in the format of Kafka Streams. The store can
// be kept with the options of a table. The table needs a store, or must be derived from
// tables that have one.
//
// What is due goes on at a commit, or at once if the application sends every update: in
// order of the windows' ends, or of the first updates that were held back, and then of
// the keys. An update that goes on has the timestamp and the headers of the last update
// of its row, and is consistent with those that went on before: if an operator needs old
// values, it gets the last one that went on. Time is stream time: without new records
// nothing goes on.
//
// A deletion goes on like any update. With UntilClosed, a row that was deleted before it
// went on does not go on at all. There are no late records here: those that are late for
// a window do not reach its table.
func (t Table[K, V]) Suppress(name string, s Suppression, opts ...TableOption) Table[K, V] {
	o := chosenTable(opts)
	n := t.b.add(&node{kind: graph.Processor, op: "suppress", keyed: true, table: true}, name, t.n)
	t.b.needName(n, name, "its table, store and changelog")
	t.b.needSerdes(n, serdes{t.keys, t.values}, "to store what is held back")
	c := operator.Suppress[K, V]{
		Store: name, Keys: t.keys, Values: t.values, Limit: s.limit.Milliseconds(),
		MaxRecords: s.maxRecords, MaxBytes: s.maxBytes, FailFull: s.failFull || s.kind == untilClosed,
	}
	if s.kind == untilClosed {
		c.Window, c.Closes = t.window, closings(t.n)
	}
	t.b.checkSuppress(n, t.n, s, o, len(c.Closes) > 0 && t.window != nil)
	n.make = c.New
	if name != "" && !isNil(t.keys) && !isNil(t.values) {
		options := store.Options{InMemory: o.inMemory, NoChangelog: o.withoutChangelog}
		n.stores = []storeUse{{spec: store.NewBuffer(name, t.keys, operator.BufferedValues(t.values), options), table: true}}
	}
	out := Table[K, V]{b: t.b, n: n, keys: t.keys, values: t.values, window: t.window}
	if t.rows.view != nil {
		view := operator.SuppressedRows[K, V]{Of: t.rows.view, Store: name, Keys: t.keys}
		out.rows = rows[K, V]{view, append([]*node{n}, t.rows.in...)}
	}
	return out
}

// checkSuppress reports a suppression that is not possible.
func (b *Builder) checkSuppress(n, of *node, s Suppression, o tableOptions, windowed bool) {
	problem := func(bad bool, format string, args ...any) {
		if bad {
			b.problem("%v: "+format, append([]any{n}, args...)...)
		}
	}
	problem(s.kind == noSuppression, "the Suppression is the zero value: use UntilClosed or UntilTimeLimit")
	problem(s.limit < 0, "the time limit %v must not be negative", s.limit)
	problem(s.limit%time.Millisecond != 0, "the time limit %v must be a whole number of milliseconds", s.limit)
	problem(s.bounded && (s.maxRecords < 0 || s.maxBytes < 0 || s.maxRecords+s.maxBytes == 0),
		"a bound of %d records and %d bytes (0: none) would hold nothing back: use a positive one", s.maxRecords, s.maxBytes)
	problem(s.failFull && !s.bounded, "FailWhenFull has no effect without MaxRecords or MaxBytes: add a bound, or remove it")
	problem(o.everyUpdate, "EveryUpdate contradicts Suppress: remove one of them")
	problem(!of.sendsOld(), "the table has no store, so what went on before is not known: remove WithoutStore where it was made, or call Stored on it first")
	problem(s.kind == untilClosed && !windowed, "UntilClosed needs the table of a windowed aggregation, or one that is made of it by Filter, MapTable or a join: use UntilTimeLimit, or window the stream")
	problem(s.kind == untilClosed && neverCloses(of), "the windows never end, so nothing would ever go on: use other windows, or UntilTimeLimit")
}

// closings returns how the windowed aggregations behind a table close their windows.
func closings(n *node) (out []operator.Closing) {
	if w := n.windows; w != nil {
		return []operator.Closing{{Node: n.name, Delay: w.closeDelay()}}
	}
	for _, p := range n.parents {
		out = append(out, closings(p)...)
	}
	return out
}

// neverCloses reports whether a windowed aggregation behind a table has windows without
// an end.
func neverCloses(n *node) bool {
	if n.windows != nil {
		return n.windows.kind == unlimited
	}
	for _, p := range n.parents {
		if neverCloses(p) {
			return true
		}
	}
	return false
}

// closeDelay returns how many ms after its end a window is closed.
func (w Windows) closeDelay() int64 {
	switch w.kind {
	case sliding: // the end is included
		return w.grace.Milliseconds() + 1
	case sessions:
		return w.size.Milliseconds() + w.grace.Milliseconds() + 1
	}
	return w.grace.Milliseconds()
}
