package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
)

// BranchCase is one way out of a Branch. [Case] and [Default] make one. R is what the
// predicate sees: the value in [Stream.Branch], the record in [Stream.BranchRecord].
type BranchCase[R any] struct {
	name string
	when func(R) bool
	rest bool
}

// Case takes the records for which when is true. The new stream is called
// <branch>-<name>.
func Case[R any](name string, when func(R) bool) BranchCase[R] {
	return BranchCase[R]{name: name, when: when}
}

// Default takes all records that no other case took. It must be the last case.
func Default[R any](name string) BranchCase[R] { return BranchCase[R]{name: name, rest: true} }

// Branch splits the stream. A record goes to the first case whose predicate is true for
// its value. If there is none, the record is dropped. The streams are returned in the
// order of the cases. If the value is absent, predicates see the zero value.
func (s Stream[K, V]) Branch(name string, cases ...BranchCase[V]) []Stream[K, V] {
	return branch(s, name, cases, func(r *graph.Record[K, V]) V { return r.Value })
}

// BranchRecord is Branch with predicates that see the whole record.
func (s Stream[K, V]) BranchRecord(name string, cases ...BranchCase[processor.Record[K, V]]) []Stream[K, V] {
	return branch(s, name, cases, func(r *graph.Record[K, V]) processor.Record[K, V] { return r.Record })
}

func branch[K, V, R any](s Stream[K, V], name string, cases []BranchCase[R], seen func(*graph.Record[K, V]) R) []Stream[K, V] {
	choose := func(r *graph.Record[K, V]) int {
		v := seen(r)
		for i, c := range cases {
			if c.rest || c.when(v) {
				return i
			}
		}
		return -1
	}
	ways := make([]way, len(cases))
	for i, c := range cases {
		ways[i] = way{name: c.name, rest: c.rest, noFunc: !c.rest && c.when == nil}
	}
	n := &node{kind: graph.Processor, op: "branch", make: operator.Branch[K, V]{Choose: choose}.New}
	streams := make([]Stream[K, V], len(cases))
	for i, out := range s.b.branch(n, name, s.n, ways, operator.PassThrough[K, V]{}.New) {
		streams[i] = s
		streams[i].n = out
	}
	return streams
}

// way is a BranchCase without its types.
type way struct {
	name   string
	rest   bool
	noFunc bool
}

// branch adds the node of a branch, and one node for each way out of it.
func (b *Builder) branch(n *node, name string, parent *node, ways []way, pass maker) (outs []*node) {
	b.add(n, name, parent)
	b.needName(n, name, "its node, and the beginning of those of its branches")
	b.checkWays(n, ways)
	for _, w := range ways {
		out := n.name + "-" + w.name
		outs = append(outs, b.addPart(&node{kind: graph.Processor, op: "branch", make: pass}, out, out, n))
	}
	return outs
}

func (b *Builder) checkWays(n *node, ways []way) {
	if len(ways) == 0 {
		b.problem("%v: has no cases: add at least one Case or Default", n)
	}
	for i, w := range ways {
		switch {
		case w.name == "":
			b.problem("%v: case %d has no name", n, i+1)
		case w.rest && i < len(ways)-1:
			b.problem("%v: Default must be the last case: move %q to the end", n, w.name)
		case w.noFunc:
			b.problem("%v: the function of case %q is nil", n, w.name)
		}
	}
}
