package topology

import (
	"time"

	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Sessions is a grouped stream that is cut into sessions: periods of activity of a key.
//
// Two records of a key belong to one session if they are at most a gap apart. A session
// begins with its first record and ends with its last one, both included. A record that
// lies between two sessions and is at most a gap away from both makes one session of
// them.
//
// The rows of the table have the session in their key. So a session that grows is another
// row: the one before is deleted, and the new one is put. With merged updates, the rows
// that came and went between two commits are not forwarded. The timestamp of an update is
// the end of its session.
//
// The operator's stream time is the largest timestamp of the records that have reached
// it, the present one included. A session is closed if its end is more than gap plus
// grace before stream time. A record is late if the session that it would make, together
// with all those that it would take in, is closed: it is dropped, and counted as dropped.
// So a record that is late by itself still counts if it touches an open session. With
// that record, an open session may take in one that is closed. Stream time survives
// restarts.
//
// Sessions are kept, and may be taken in, until stream time is the retention past their
// end. The default [Retention], which is also the least, is two gaps, the grace and a
// minute.
type Sessions[K, V any] struct {
	g Grouped[K, V]
	w Windows
}

// Sessions cuts the groups into sessions. Two records belong to one session if they are
// at most a gap apart. gap is a whole number of milliseconds, and may be 0.
func (g Grouped[K, V]) Sessions(gap time.Duration) Sessions[K, V] {
	return Sessions[K, V]{g: g, w: Windows{kind: sessions, size: gap}}
}

// Grace lets a session take records until the operator's stream time is more than the gap
// and d past its end. Default: none.
func (s Sessions[K, V]) Grace(d time.Duration) Sessions[K, V] {
	s.w.grace = d
	return s
}

// Count counts the records of each key and session. Records without a value count too.
// Records without a key are dropped, and counted as dropped. name is the name of the
// table and of its store. The changelog is <app>-<name>-changelog.
func (s Sessions[K, V]) Count(name string, opts ...WindowedTableOption) WindowedTable[K, int64] {
	merge := func(a, b int64) (int64, error) { return a + b, nil }
	return aggregateSessions(flowOf(s.g.g), s.w, "count", name, count[K, V], merge, serde.Int64, opts)
}

// Reduce combines the values of each key and session. f also combines the values of two
// sessions that become one: a is that of the earlier one. The first value is stored as it
// is. Records without a value are dropped, and counted as dropped, unless the value serde
// is Optional. Otherwise it is like Count.
func (s Sessions[K, V]) Reduce(name string, f func(a, b V) V, opts ...WindowedTableOption) WindowedTable[K, V] {
	t := aggregateSessions(flowOf(s.g.g), s.w, "reduce", name, reduce[K](f), merging(f), flowOf(s.g.g).values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// TryReduce is Reduce with a function that may fail.
func (s Sessions[K, V]) TryReduce(name string, f func(a, b V) (V, error), opts ...WindowedTableOption) WindowedTable[K, V] {
	t := aggregateSessions(flowOf(s.g.g), s.w, "reduce", name, tryReduce[K](f), operator.Merger[V](f), flowOf(s.g.g).values, opts)
	t.b.needFunc(t.n, f)
	return t
}

// AggregateSessions folds the records of each key and session into an aggregate, as
// [Aggregate] does. add sees records without a value too. merge makes one aggregate from
// those of two sessions that become one: a is that of the earlier one. merge may change a
// in place and return it. What initial returns must be neutral: merging it with another
// aggregate would give that one.
func AggregateSessions[K, V, A any](s Sessions[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) A, merge func(a, b A) A, as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateSessions(flowOf(s.g.g), s.w, "aggregate", name, fold(initial, add), merging(merge), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	t.b.needFunc(t.n, merge)
	return t
}

// TryAggregateSessions is AggregateSessions with functions that may fail. After an error
// of add the aggregate must be as it was. After an error of merge, b must be as it was.
func TryAggregateSessions[K, V, A any](s Sessions[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) (A, error), merge func(a, b A) (A, error), as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateSessions(flowOf(s.g.g), s.w, "aggregate", name, tryFold(initial, add), operator.Merger[A](merge), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	t.b.needFunc(t.n, merge)
	return t
}

// merging is a function that cannot fail as a merger.
func merging[A any](f func(a, b A) A) operator.Merger[A] {
	return func(a, b A) (A, error) { return f(a, b), nil }
}
