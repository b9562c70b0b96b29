package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// JoinGlobal joins each record of a stream with a row of a global table. key returns the
// key of the row. If there is no such row, the record has no result. Only records of the
// stream have results; updates of the table have none.
//
//	priced := topology.JoinGlobal(orders, regions, regionOf, price, pricedSerde)
//
// The row is the newest one that the process has. It is not synchronised with the stream;
// see [GlobalTable]. There are no late records: the row does not depend on the record's
// timestamp.
//
// The result has the key, the timestamp and the headers of the stream's record. A record
// without a value is dropped, and counted as dropped. If the table's key serde is
// Optional (see serde.Nullable) and key returns an absent key, the record is dropped too.
// A record without a key is joined like any other. If rs is Optional, an absent result is
// a record without a value.
//
// The stream is not repartitioned, and its topics may have any number of partitions. The
// values that f gets belong to the table, and f must not change what they point to.
func JoinGlobal[K, V, K2, V2, R any](s Stream[K, V], t Global[K2, V2], key func(v V) K2, f func(v V, row V2) R, rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinGlobal(s, t, "joinGlobal", operator.GlobalJoin[K, V, K2, V2, R]{
		Key:  func(r processor.Record[K, V]) (K2, error) { return key(r.Value), nil },
		Join: func(v V, row V2, _ bool) (R, error) { return f(v, row), nil },
		Out:  rs,
	}, key, f, opts)
}

// TryJoinGlobal is JoinGlobal with functions that may fail. key sees the whole record,
// for example its key.
func TryJoinGlobal[K, V, K2, V2, R any](s Stream[K, V], t Global[K2, V2], key func(processor.Record[K, V]) (K2, error), f func(v V, row V2) (R, error), rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinGlobal(s, t, "joinGlobal", operator.GlobalJoin[K, V, K2, V2, R]{
		Key:  key,
		Join: func(v V, row V2, _ bool) (R, error) { return f(v, row) },
		Out:  rs,
	}, key, f, opts)
}

// LeftJoinGlobal is [JoinGlobal] with a result for each record of the stream that has a
// value. If there is no row, or key returns an absent key, ok is false and row is the
// zero value.
func LeftJoinGlobal[K, V, K2, V2, R any](s Stream[K, V], t Global[K2, V2], key func(v V) K2, f func(v V, row V2, ok bool) R, rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinGlobal(s, t, "leftJoinGlobal", operator.GlobalJoin[K, V, K2, V2, R]{
		Key:  func(r processor.Record[K, V]) (K2, error) { return key(r.Value), nil },
		Join: func(v V, row V2, ok bool) (R, error) { return f(v, row, ok), nil },
		Left: true,
		Out:  rs,
	}, key, f, opts)
}

// TryLeftJoinGlobal is LeftJoinGlobal with functions that may fail. key sees the whole
// record.
func TryLeftJoinGlobal[K, V, K2, V2, R any](s Stream[K, V], t Global[K2, V2], key func(processor.Record[K, V]) (K2, error), f func(v V, row V2, ok bool) (R, error), rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinGlobal(s, t, "leftJoinGlobal", operator.GlobalJoin[K, V, K2, V2, R]{Key: key, Join: f, Left: true, Out: rs}, key, f, opts)
}

// joinGlobal adds a join with a global table. key and f are the functions that the user
// passed.
func joinGlobal[K, V, K2, V2, R any](s Stream[K, V], t Global[K2, V2], op string, o operator.GlobalJoin[K, V, K2, V2, R], key, f any, opts []Option) Stream[K, R] {
	n := s.b.add(&node{kind: graph.Processor, op: op}, nameOf(opts), s.n)
	s.b.needFunc(n, key)
	s.b.needFunc(n, f)
	if t.b == nil {
		s.b.problem("%v: the global table is the zero value: use the result of GlobalTable or GlobalStore", n)
	} else if s.b.sameBuilder(n, t.b) {
		n.stores = []storeUse{{spec: t.spec}}
		o.Store, o.Keys = t.StoreName(), t.keys
	}
	n.make = o.New
	return Stream[K, R]{flow[K, R]{b: s.b, n: n, keys: s.keys, values: o.Out, rekeyed: s.rekeyed}}
}
