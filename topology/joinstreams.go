package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// JoinWindow joins the records of two streams that have the same key and timestamps close
// together. Each pair of records has one result. It is sent when the later record of the
// pair arrives.
//
//	within := topology.Within(time.Minute).Grace(10*time.Second)
//	matched := topology.JoinWindow(clicks, views, "matched", within, pair, matchSerde)
//
// A result has the larger timestamp of the pair, and the headers of the record that
// arrived later. The results of one record are in the order of their partners'
// timestamps. If rs is Optional (see serde.Nullable), an absent result is a record
// without a value.
//
// The records of both streams are kept in the stores <name>-left and <name>-right, on
// disk and in the changelogs <app>-<name>-left-changelog and
// <app>-<name>-right-changelog. They are kept for the length of the windows plus the
// grace. If a record is older than that, by the time of its own store, it is joined with
// the stored records of the other stream, but it is not kept. It is counted as dropped.
// Records without a key or without a value are dropped, and counted as dropped.
//
// If a stream is joined with itself, there is only the store <name>-left. If the windows
// include a difference of 0, each record is then also joined with itself. No record waits
// for a partner then, in a left or outer join either.
//
// As for [Join], the topics behind the two streams must have the same number of
// partitions. Keys that may have changed are repartitioned, through the topics
// <app>-<name>-left-repartition and <app>-<name>-right-repartition. The values that f
// gets belong to the stores: f must not change what they point to.
func JoinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, f func(a A, b B) R, rs serde.Serde[R], opts ...JoinWindowOption) Stream[K, R] {
	return joinWindow(left, right, name, w, streamsJoin[A, B, R]{
		op: "joinWindow", given: f,
		join: func(a A, _ bool, b B, _ bool) (R, error) { return f(a, b), nil },
	}, rs, opts)
}

// TryJoinWindow is JoinWindow with a function that may fail. If the error policy skips
// the error, the pair has no result. Other pairs of the record are not affected.
func TryJoinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, f func(a A, b B) (R, error), rs serde.Serde[R], opts ...JoinWindowOption) Stream[K, R] {
	return joinWindow(left, right, name, w, streamsJoin[A, B, R]{
		op: "joinWindow", given: f,
		join: func(a A, _ bool, b B, _ bool) (R, error) { return f(a, b) },
	}, rs, opts)
}

// LeftJoinWindow is [JoinWindow] with an additional result for each record of the left
// stream that has no partner. For it, ok is false and b is the zero value.
//
// A left record without a partner waits in the store <name>-unmatched until its time is
// over. Its time is over when the join's stream time is later than its timestamp by more
// than the windows' After plus Grace. The stream time is the largest timestamp of the
// records of both streams.
//
// The record that moves the stream time that far sends the due results before its own.
// (If that record is dropped, the next record that is not older does so.) The due results
// are in order of timestamp, side (right first) and key. Each has the timestamp of its
// waiting record, and the headers of the record that moved the stream time. Without new
// records nothing is sent.
//
// If the time of a left record is already over when it arrives, its result is sent at
// once. If a right record arrives later than the grace allows, it may be joined with a
// left record that already had a result without a partner. That left record then has a
// second result.
//
// A left record without a key has a result at once, without a partner.
func LeftJoinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, f func(a A, b B, ok bool) R, rs serde.Serde[R], opts ...JoinWindowOption) Stream[K, R] {
	return joinWindow(left, right, name, w, streamsJoin[A, B, R]{
		op: "leftJoinWindow", given: f, rule: operator.JoinRule{LeftAlone: true},
		join: func(a A, _ bool, b B, ok bool) (R, error) { return f(a, b, ok), nil },
	}, rs, opts)
}

// TryLeftJoinWindow is LeftJoinWindow with a function that may fail. See [TryJoinWindow].
// If it fails for a waiting record whose time is over, the error policy gets the record
// that moved the stream time.
func TryLeftJoinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, f func(a A, b B, ok bool) (R, error), rs serde.Serde[R], opts ...JoinWindowOption) Stream[K, R] {
	return joinWindow(left, right, name, w, streamsJoin[A, B, R]{
		op: "leftJoinWindow", given: f, rule: operator.JoinRule{LeftAlone: true},
		join: func(a A, _ bool, b B, ok bool) (R, error) { return f(a, b, ok) },
	}, rs, opts)
}

// OuterJoinWindow is [LeftJoinWindow] for the records of both streams. If a record is
// missing, its ok is false and its value is the zero value. A right record waits for the
// windows' Before plus Grace.
func OuterJoinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, f func(a A, aok bool, b B, bok bool) R, rs serde.Serde[R], opts ...JoinWindowOption) Stream[K, R] {
	return joinWindow(left, right, name, w, streamsJoin[A, B, R]{
		op: "outerJoinWindow", given: f, rule: operator.JoinRule{LeftAlone: true, RightAlone: true},
		join: func(a A, aok bool, b B, bok bool) (R, error) { return f(a, aok, b, bok), nil },
	}, rs, opts)
}

// TryOuterJoinWindow is OuterJoinWindow with a function that may fail. See
// [TryLeftJoinWindow].
func TryOuterJoinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, f func(a A, aok bool, b B, bok bool) (R, error), rs serde.Serde[R], opts ...JoinWindowOption) Stream[K, R] {
	return joinWindow(left, right, name, w, streamsJoin[A, B, R]{
		op: "outerJoinWindow", given: f, rule: operator.JoinRule{LeftAlone: true, RightAlone: true}, join: f,
	}, rs, opts)
}

// streamsJoin describes the join that joinWindow adds.
type streamsJoin[A, B, R any] struct {
	op    string
	given any // the function that the user passed
	rule  operator.JoinRule
	join  operator.RowJoiner[A, B, R]
}

// joinWindow adds a join of two streams. It has three nodes: one for the records of each
// stream, and one that owns the stores.
func joinWindow[K, A, B, R any](left Stream[K, A], right Stream[K, B], name string, w JoinWindows, j streamsJoin[A, B, R], rs serde.Serde[R], opts []JoinWindowOption) Stream[K, R] {
	b := left.b
	self := right.b == b && right.n == left.n
	if left.rekeyed && name != "" {
		left.flow = repartition(left.flow, j.op, name+leftPart, repartitionOptions{withoutKey: j.rule.LeftAlone})
	}
	switch {
	case self:
		right.n = left.n
	case right.rekeyed && right.b == b && name != "":
		right.flow = repartition(right.flow, j.op, name+rightPart, repartitionOptions{withoutKey: j.rule.RightAlone})
	}
	n := b.add(&node{kind: graph.Processor, op: j.op, keyed: true}, name, left.n)
	joined := Stream[K, R]{flow[K, R]{b: b, n: n, keys: left.keys, values: rs}}
	b.needName(n, name, "its stores and changelogs")
	b.needFunc(n, j.given)
	if !b.sameBuilder(n, right.b) {
		return joined
	}
	b.sameKeys(n, left.keys, right.keys)
	of := operator.WindowJoin[K, A, B, R]{
		Name: name, Left: name + leftPart, Right: name + rightPart, Waiting: name + unmatchedPart,
		Keys: left.keys, Span: w.span(), Rule: j.rule, Join: j.join, Out: rs,
	}
	if self {
		of.Right = of.Left
		if of.Span.Before >= 0 && of.Span.After >= 0 {
			of.Waiting = "" // each record is a partner of itself
		}
	}
	n.make = of.New
	this := b.addBefore(n, &node{kind: graph.Processor, op: j.op, make: operator.WindowJoinSide[K, A, B, R]{}.New}, "left", left.n)
	other := b.addBefore(n, &node{kind: graph.Processor, op: j.op, make: operator.WindowJoinSide[K, A, B, R]{Right: true}.New}, "right", right.n)
	n.parents = []*node{this, other}
	if b.checkJoin(n, w, left.keys, left.values, right.values) && name != "" {
		n.stores = joinStores(of, left, right, w, joinOptions(opts))
	}
	return joined
}

// The name of a join's store is the join's name and one of these suffixes.
const (
	leftPart      = "-left"
	rightPart     = "-right"
	unmatchedPart = "-unmatched"
)

func joinOptions(opts []JoinWindowOption) (o tableOptions) {
	for _, opt := range withoutNil(opts) {
		opt.applyJoinWindow(&o)
	}
	return o
}

// checkJoin reports impossible windows and missing serdes.
func (b *Builder) checkJoin(n *node, w JoinWindows, keys, left, right any) (ok bool) {
	problems := w.problems()
	for _, text := range problems {
		b.problem("%v: %s", n, text)
	}
	b.needSerde(n, "key", keys, "to store the records")
	b.needSerde(n, "value", left, "to store the records of the left stream")
	b.needSerde(n, "value", right, "to store the records of the right stream")
	return len(problems) == 0 && !isNil(keys) && !isNil(left) && !isNil(right)
}

// joinStores describes the stores of a join.
func joinStores[K, A, B, R any](j operator.WindowJoin[K, A, B, R], left Stream[K, A], right Stream[K, B], w JoinWindows, o tableOptions) []storeUse {
	uses := []storeUse{{spec: store.NewJoinRows(j.Left, left.keys, left.values, w.size(), w.retention(), o.ofStore()), table: true}}
	if j.Right != j.Left {
		uses = append(uses, storeUse{spec: store.NewJoinRows(j.Right, right.keys, right.values, w.size(), w.retention(), o.ofStore()), table: true})
	}
	if j.Waits() {
		keys, values := operator.WaitingKeys(left.keys), operator.WaitingValues(left.values, right.values)
		uses = append(uses, storeUse{spec: store.NewKeyValue(j.Waiting, keys, values, o.ofStore()), waiting: true})
	}
	return uses
}
