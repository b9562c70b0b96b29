package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// Stream is a handle of a stream of records: those that a source reads, or those that an
// operator forwards. It is a small value without state. If several operators are attached
// to it, each of them gets all records, in the order in which they were attached.
type Stream[K, V any] struct{ flow[K, V] }

// flow is what a Stream consists of. Operators pass it on among themselves, and make a
// Stream of it at the end. It has no methods: where Go compiles a generic type for some
// type arguments, it compiles all methods of the type, and all methods of the types in
// their signatures.
type flow[K, V any] struct {
	b       *Builder
	n       *node
	keys    serde.Serde[K]
	values  serde.Serde[V]
	rekeyed bool // the key may have changed since the last source or repartition
}

// Builder returns the builder that the stream belongs to.
func (s Stream[K, V]) Builder() *Builder { return s.b }

// KeySerde returns the serde of the keys, or nil if none was given.
func (s Stream[K, V]) KeySerde() serde.Serde[K] { return s.keys }

// ValueSerde returns the serde of the values, or nil if none was given.
func (s Stream[K, V]) ValueSerde() serde.Serde[V] { return s.values }

// Merge returns a stream with the records of s and of all others. Records of different
// streams have no order between them. Merging a stream with itself has no effect.
func (s Stream[K, V]) Merge(others ...Stream[K, V]) Stream[K, V] {
	n := s.b.add(&node{kind: graph.Processor, op: "merge", make: operator.PassThrough[K, V]{}.New}, "", s.n)
	for _, other := range others {
		if !s.b.sameBuilder(n, other.b) {
			continue
		}
		s.b.merge(n, other.n, serdes{s.keys, s.values}, serdes{other.keys, other.values})
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

// merge makes n a child of another stream's node. of are the serdes of n.
func (b *Builder) merge(n, other *node, of, others serdes) {
	if !slices.Contains(n.parents, other) {
		n.parents = append(n.parents, other)
	}
	if !agree(of.keys, others.keys) || !agree(of.values, others.values) {
		b.problem("%v: the streams have different serdes of keys or values (%v and %v): convert them to the same serdes with Map or MapValues",
			n, of, others)
	}
}
