package operator

import (
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// A partial is a record of a repartition topic that stands for several records of one
// key: its value is their aggregate. A task sends it in place of the records (see
// combiner), and the aggregation merges it.
//
// The last header of a partial is partialHeader, with the version of the format. Its
// value is encoded with the serde of the table. Its timestamp is the largest one of the
// records, and its other headers are those of the last record. A topic may have both
// partials and other records, because a new version of an application may start or stop
// combining.
const (
	partialHeader  = "millrace-partial"
	partialVersion = 1
)

var partialMark = processor.Header{Key: partialHeader, Value: []byte{partialVersion}}

// isPartial reports whether a record of a repartition topic is a partial.
func isPartial(headers processor.Headers) bool {
	n := len(headers)
	return n > 0 && headers[n-1].Key == partialHeader
}

// unmarked returns the headers without those that would mark the record as a partial.
func unmarked(headers processor.Headers) processor.Headers {
	for isPartial(headers) {
		headers = headers[:len(headers)-1]
	}
	return headers
}

// marked returns the headers of a partial.
func marked(headers processor.Headers) processor.Headers {
	if len(headers) == 0 {
		return onlyMark
	}
	return append(slices.Clip(unmarked(headers)), partialMark)
}

var onlyMark = processor.Headers{partialMark}

// checkPartial returns an error if the format of a partial is not known.
func checkPartial(headers processor.Headers) error {
	if v := headers[len(headers)-1].Value; len(v) != 1 || v[0] != partialVersion {
		return fmt.Errorf("a partial result has the unknown format %v: a later version of Millrace has written it: process the topic with that version or a later one", v)
	}
	return nil
}

// Combining describes an aggregation whose records can be combined before they are sent
// to it. The order of the records, and the moment at which they arrive, must not matter
// for the aggregate.
type Combining[K, V, A any] struct {
	Values serde.Serde[A]
	Add    Adder[K, V, A]

	// Merge adds a partial aggregate to the last one. Neither it nor Add may fail. If one
	// panics, the application ends.
	Merge func(last A, exists bool, part A) A
}

// Combinable is a Combining, without the type of the aggregate.
type Combinable[K, V any] interface {
	// Sink returns the maker of the sink in front of the repartition topic.
	Sink(s Sink[K, V]) func(t graph.Task, n *graph.Node, children []any) (any, error)
}

// partialReceiver is an aggregation that merges partials.
type partialReceiver[K any] interface {
	ReceivePartial(p *partial[K]) error
}

// partial is a partial on its way to the aggregation.
type partial[K any] struct {
	graph.Record[K, struct{}]
	encoded []byte // the aggregate
}
