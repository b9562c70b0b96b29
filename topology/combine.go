package topology

import (
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// CombineOption is an option of [Grouped.Reduce] and [Aggregate]. [Combine] makes one.
type CombineOption struct{ merge any } // a func(a, b A) A

// Combine declares that records may be combined before they are sent to the aggregation:
// if the grouping has a repartition topic, each task then sends one aggregate for each
// key and commit in place of the records. That saves most of the work if the same keys
// come again and again. A Count does this on its own.
//
// merge makes one aggregate of two. It may change a in place and return it. For Reduce it
// is usually the function of Reduce itself. These conditions are the caller's:
//
//   - The result does not depend on how the records are divided, nor on their order:
//     merge is associative and commutative. a+b and max(a, b) are, a-b is not.
//   - merge, the functions of the aggregation, and the serde of the table do not fail. If
//     one fails all the same, the application ends, whatever the error policy says: other
//     records of the key would be lost with the one. Nothing is committed then, and a
//     version of the program without Combine can go on.
//   - Aggregates are small. One that is larger than the topic accepts is refused, even if
//     each of its records would be accepted.
//
// Records are not combined if the application is not exactly-once, if Config.EveryUpdate
// is set, or if something else reads the repartition topic.
//
// The option may be added with a new version of the program. It may be removed from a
// Reduce. Before it is removed from an Aggregate, the repartition topic must have been
// processed to its end, because the aggregation cannot read aggregates without merge; its
// error says so.
//
// Combine is refused where it would give wrong results, or has no effect: with
// [EveryUpdate], [TTL] or [Versioned], with values that may be absent (serde.Nullable),
// in TryReduce and TryAggregate, and in all other operators.
func Combine[A any](merge func(a, b A) A) CombineOption {
	return CombineOption{merge}
}

func (o CombineOption) applyTable(c *tableOptions) { c.combine = o.merge }

// combining says when the records of an aggregation are combined.
type combining int

const (
	neverCombined combining = iota
	declaredCombined
	alwaysCombined
)

// combine returns how an aggregation combines records, and whether it does.
func combine[K, V, A any](b *Builder, n *node, when combining, how operator.Combining[K, V, A], o tableOptions) (operator.Combining[K, V, A], bool) {
	wanted := when == alwaysCombined && !o.everyUpdate && !o.versioned && !o.mortal
	if o.combine == nil {
		return how, wanted
	}
	merge, fits := o.combine.(func(a, b A) A)
	_, optional := how.Values.(serde.Optional[A])
	switch {
	case when != declaredCombined:
		b.refuseCombine(n, o)
	case isNil(o.combine):
		b.problem("%v: the function of Combine is nil", n)
	case !fits:
		b.problem("%v: the function of Combine is a %T, but the table needs a %T", n, o.combine, merge)
	case optional:
		b.problem("%v: has Combine, but its values may be absent, and an absent aggregate would start again at another record: remove Combine, or use a serde whose values are always there", n)
	case o.everyUpdate:
		b.problem("%v: has Combine and EveryUpdate, but each update needs its record: remove one of them", n)
	case o.versioned || o.mortal:
		b.problem("%v: has Combine, but combined records have one timestamp, and with TTL or Versioned each counts: remove one of them", n)
	default:
		how.Merge = mergePart(merge)
		return how, true
	}
	return how, false
}

// refuseCombine reports that Combine has no effect.
func (b *Builder) refuseCombine(n *node, o tableOptions) {
	if o.combine != nil {
		b.problem("%v: Combine has no effect: it is for Reduce and Aggregate of a grouped stream, with functions that do not fail: remove it", n)
	}
}

// mergePart returns the Merge of a function that makes one aggregate of two.
func mergePart[A any](merge func(a, b A) A) func(last A, exists bool, part A) A {
	return func(last A, exists bool, part A) A {
		if !exists {
			return part
		}
		return merge(last, part)
	}
}
