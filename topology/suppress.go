package topology

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
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

// UntilClosed holds a row back until its window is closed. Only the last value of the row
// is passed on. The table must be that of a windowed aggregation, or must be made from
// one by Filter, MapTable, Stored or a join of tables.
//
// The stream time of the aggregation closes the window, as for [WindowedTable.Final]. If
// the table is a join of several aggregations, all of them must have closed the window.
// Directly behind an aggregation, use WindowedTable.Final: it does the same and needs no
// buffer.
func UntilClosed() Suppression { return Suppression{kind: untilClosed} }

// UntilTimeLimit holds a row back until stream time has advanced by d since the timestamp
// of its first update that is held back. Further updates of the row are merged. Stream
// time is the largest timestamp of the updates. If d is 0, updates are passed on as they
// come.
func UntilTimeLimit(d time.Duration) Suppression {
	return Suppression{kind: untilTimeLimit, limit: d}
}

// MaxRecords bounds the number of rows that a task holds back. If there are more:
//
//   - With UntilTimeLimit, the task passes on the first rows before their time. It logs a
//     warning and calls HookBufferFull.
//   - With UntilClosed, or with FailWhenFull, Run returns an error.
//
// Default: no bound. The rows are then on disk. Their keys, and some 32 bytes for each,
// are in memory.
func (s Suppression) MaxRecords(n int64) Suppression {
	s.maxRecords, s.bounded = n, true
	return s
}

// MaxBytes bounds the bytes that a task holds back. As in Kafka Streams, the size of a
// row includes its key, its headers, some 20 bytes, and three values: the newest one, the
// one before it, and the one that was passed on last. The rest is as for MaxRecords.
func (s Suppression) MaxBytes(n int64) Suppression {
	s.maxBytes, s.bounded = n, true
	return s
}

// FailWhenFull makes Run return an error if a bound is exceeded.
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

// Suppress holds updates of the table back, and merges the updates of each row:
//
//	calm := counts.Suppress("calm", topology.UntilTimeLimit(10*time.Second))
//
// name is the name of the result, and of the store of the rows that are held back. The
// changelog is <app>-<name>-changelog, in the format of Kafka Streams. The options are
// those of the store. The table must have a store, or must be derived from tables that
// have one.
//
// Rows that are due are passed on at the next commit. With Config.EveryUpdate, they are
// passed on at once. Time is stream time: without new records, nothing is passed on. With
// UntilClosed, the option [IdleAfter] of the aggregation changes that.
//
//   - The rows come in order of the end of their windows, or of the first update that was
//     held back; then in order of key.
//   - A row has the timestamp and the headers of its last update.
//   - If an operator needs old values, it gets the value that was passed on last.
//   - A deletion is passed on like an update. With UntilClosed, a row that is deleted
//     before it was passed on is not passed on at all.
//   - Suppress drops no late records: the aggregation has already dropped them.
//   - If the values of the table are migrated, Suppress needs the same [Migrate] options.
//
// A join with the result finds the row that was passed on last.
func (t Table[K, V]) Suppress(name string, s Suppression, opts ...TableOption) Table[K, V] {
	o := chosenTable(opts)
	n := t.b.add(&node{kind: graph.Processor, op: "suppress", keyed: true, table: true}, name, t.n)
	t.b.needName(n, name, "its table, store and changelog")
	t.b.needSerdes(n, serdes{t.keys, t.values}, "to store what is held back")
	c := operator.Suppress[K, V]{Suppression: s.config(name), Keys: t.keys, Values: t.values}
	if s.kind == untilClosed {
		c.Window, c.Closes = t.window, closings(t.n)
	}
	t.b.refuseCombine(n, o)
	t.b.checkSuppress(n, t.n, s, o, len(c.Closes) > 0 && t.window != nil)
	n.make = c.New
	if name != "" && !isNil(t.keys) && !isNil(t.values) {
		n.stores = []storeUse{bufferUse(name, operator.Boxed(t.keys), operator.BufferedValues(t.values), o, operator.BufferedMigrations(o.migrations, t.values))}
	}
	out := Table[K, V]{b: t.b, n: n, keys: t.keys, values: t.values, window: t.window}
	if t.rows.view != nil {
		view := operator.SuppressedRows[K, V]{Of: t.rows.view, Store: name, Keys: t.keys}
		out.rows = rows[K, V]{view: view, in: append([]*node{n}, t.rows.in...)}
	}
	return out
}

// bufferUse returns the use of the store in which a table holds updates back.
func bufferUse(name string, keys serde.Serde[any], values serde.Serde[operator.Buffered], o tableOptions, m *store.Migrations) storeUse {
	options := store.Options{InMemory: o.inMemory, NoChangelog: o.withoutChangelog, Migrations: m}
	return storeUse{spec: store.NewBuffer(name, keys, values, options), table: true, waiting: true}
}

// config returns the suppression with the given store. What it waits for is not set.
func (s Suppression) config(store string) operator.Suppression {
	return operator.Suppression{
		Store: store, Limit: s.limit.Milliseconds(),
		MaxRecords: s.maxRecords, MaxBytes: s.maxBytes, FailFull: s.failFull || s.kind == untilClosed,
	}
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
		"a bound of %d records and %d bytes (0: no bound) would hold nothing back: use a positive bound", s.maxRecords, s.maxBytes)
	problem(s.failFull && !s.bounded, "FailWhenFull has no effect without MaxRecords or MaxBytes: add a bound, or remove it")
	problem(o.everyUpdate, "EveryUpdate contradicts Suppress: remove one of them")
	problem(o.versioned, "Suppress keeps no versions of the rows that it holds back: remove Versioned, or call Stored with Versioned on the result")
	problem(o.mortal, "Suppress must not lose the rows that it holds back: remove TTL, or give it to the table")
	problem(!of.sendsOld(), "the table has no store, so its earlier rows are not known: %s", of.addStore())
	problem(s.kind == untilClosed && !windowed, "UntilClosed needs the table of a windowed aggregation, or one that Filter, MapTable or a join has made from it: use UntilTimeLimit, or window the stream")
	problem(s.kind == untilClosed && neverCloses(of), "the windows never end, so no row would ever be passed on: use other windows, or UntilTimeLimit")
}

// closings returns how the windowed aggregations behind a table close their windows. It
// notes that each of them closes a window once.
func closings(n *node) (out []operator.Closing) {
	if w := n.windows; w != nil {
		n.one = true
		return []operator.Closing{{Node: n.name, Delay: w.closeDelay(), Idle: n.idleAfter > 0}}
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
