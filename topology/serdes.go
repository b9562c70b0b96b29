package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// agree reports whether streams with these serdes may be merged; a serde that is not
// there agrees with any.
func agree[T any](a, b serde.Serde[T]) bool { return a == nil || b == nil || graph.SameSerde(a, b) }

func serdeNames(keys, values any) string {
	return serde.Name(keys) + "/" + serde.Name(values)
}

// canonical reports whether each value has exactly one encoding, so that the bytes of a
// key that was read are those that writing it would give.
func canonical(s any) bool {
	switch s {
	case any(serde.String), any(serde.Bytes), any(serde.Int16), any(serde.Int32), any(serde.Int64):
		return true
	}
	return false
}
