package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// Stream is a handle of a stream of records in a topology: what a source reads, or what an operator forwards. It is a small value
// without state; using one several times gives each user all records, in the order in which they were attached.
type Stream[K, V any] struct {
	b       *Builder
	n       *node
	keys    serde.Serde[K]
	values  serde.Serde[V]
	rekeyed bool // the key may have changed since the last source or repartition
}

// Builder returns the builder that the stream belongs to.
func (s Stream[K, V]) Builder() *Builder { return s.b }

// KeySerde returns the serde of the keys; it is nil when none was given.
func (s Stream[K, V]) KeySerde() serde.Serde[K] { return s.keys }

// ValueSerde returns the serde of the values; it is nil when none was given.
func (s Stream[K, V]) ValueSerde() serde.Serde[V] { return s.values }

// Merge returns a stream with the records of s and of all others. There is no order between records of different streams. A stream that is
// merged with itself stays as it is.
func (s Stream[K, V]) Merge(others ...Stream[K, V]) Stream[K, V] {
	n := s.b.add(&node{kind: graph.Processor, op: "merge", make: passThrough[K, V]}, "", s.n)
	for _, other := range others {
		if !s.b.sameBuilder(n, other.b) {
			continue
		}
		if !contains(n.parents, other.n) {
			n.parents = append(n.parents, other.n)
		}
		if !agree(s.keys, other.keys) || !agree(s.values, other.values) {
			s.b.problem("%v: the streams have different serdes of keys or values (%s and %s): bring them to one with Map or MapValues",
				n, serdeNames(s.keys, s.values), serdeNames(other.keys, other.values))
		}
		if s.keys == nil {
			s.keys = other.keys
		}
		if s.values == nil {
			s.values = other.values
		}
		s.rekeyed = s.rekeyed || other.rekeyed
	}
	s.n = n
	return s
}

func contains(nodes []*node, n *node) bool {
	for _, m := range nodes {
		if m == n {
			return true
		}
	}
	return false
}

// passThrough instantiates a node that changes nothing: what its parents call is its children.
func passThrough[K, V any](_ graph.Task, _ *graph.Node, children []any) (any, error) {
	return receiverOf[K, V](children)
}
