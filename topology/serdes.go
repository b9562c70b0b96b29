package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// agree reports whether streams with these serdes may be merged. A missing serde agrees
// with any other.
func agree(a, b any) bool { return a == nil || b == nil || graph.SameSerde(a, b) }

// serdes are the serdes of a stream.
type serdes struct{ keys, values any }

func (s serdes) String() string { return serde.Name(s.keys) + "/" + serde.Name(s.values) }

// canonical reports whether each value has exactly one encoding. If so, encoding a
// decoded key gives the bytes that were read.
func canonical(s any) bool {
	if isNil(s) {
		return false
	}
	switch s {
	case any(serde.String), any(serde.Bytes), any(serde.Int16), any(serde.Int32), any(serde.Int64):
		return true
	}
	c, ok := s.(serde.Canonical)
	return ok && c.Canonical()
}
