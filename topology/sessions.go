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
// begins with its first record and ends with its last one, both included. If a record
// lies between two sessions, at most a gap away from both, the two become one session.
//
// The key of a row contains the session. If a session grows, its old row is deleted and a
// new row is put. With merged updates, a row that comes and goes between two commits is
// not forwarded. The timestamp of an update is the end of its session, and its headers
// are those of the last record.
//
// The operator's stream time is the largest timestamp of the records that have reached
// it, including the present one. It survives restarts. A session is closed if its end is
// more than gap plus grace before stream time.
//
// A record would make a session together with all sessions that it touches. If that
// session is closed, the record is late: it is dropped, and counted as dropped. Two
// things follow:
//
//   - A record that is late by itself is not dropped if it touches an open session.
//   - Through such a record, an open session can absorb a closed one.
//
// A session is kept, and can be absorbed, until stream time is later than its end by the
// retention. The default of [Retention], and its minimum, is two gaps plus the grace plus
// one minute.
type Sessions[K, V any] struct {
	g Grouped[K, V]
	w Windows
}

// Sessions cuts the groups into sessions. Two records belong to one session if they are
// at most a gap apart. gap must be a whole number of milliseconds. It may be 0.
func (g Grouped[K, V]) Sessions(gap time.Duration) Sessions[K, V] {
	return Sessions[K, V]{g: g, w: Windows{kind: sessions, size: gap}}
}

// Grace keeps a session open until the operator's stream time is later than its end by
// more than the gap plus d. Default: none.
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

// Reduce combines the values of each key and session. The first value is stored as it is.
// If two sessions become one, f also combines their values, and a is the value of the
// earlier session. Records without a value are dropped, and counted as dropped, unless
// the value serde is Optional. Otherwise Reduce is like Count.
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
// [Aggregate] does. add is also called for records without a value. If two sessions
// become one, merge makes one aggregate of theirs, and a is the aggregate of the earlier
// session. merge may change a in place and return it. The result of initial must be
// neutral: merging it with another aggregate must give that aggregate.
func AggregateSessions[K, V, A any](s Sessions[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) A, merge func(a, b A) A, as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateSessions(flowOf(s.g.g), s.w, "aggregate", name, fold(initial, add), merging(merge), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	t.b.needFunc(t.n, merge)
	return t
}

// TryAggregateSessions is AggregateSessions with functions that may fail. If add returns
// an error, it must leave the aggregate unchanged. If merge returns an error, it must
// leave b unchanged.
func TryAggregateSessions[K, V, A any](s Sessions[K, V], name string, initial func() A, add func(A, processor.Record[K, V]) (A, error), merge func(a, b A) (A, error), as serde.Serde[A], opts ...WindowedTableOption) WindowedTable[K, A] {
	t := aggregateSessions(flowOf(s.g.g), s.w, "aggregate", name, tryFold(initial, add), operator.Merger[A](merge), as, opts)
	t.b.needFunc(t.n, initial)
	t.b.needFunc(t.n, add)
	t.b.needFunc(t.n, merge)
	return t
}

// merging makes a merger of a function that cannot fail.
func merging[A any](f func(a, b A) A) operator.Merger[A] {
	return func(a, b A) (A, error) { return f(a, b), nil }
}
