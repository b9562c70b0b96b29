package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// SuppressedRows are the rows of a table behind a Suppress. If a row is held back, it is
// the row that was last passed on.
type SuppressedRows[K, V any] struct {
	Of    View[K, V]
	Store string
	Keys  serde.Serde[K]
}

// Open implements View.
func (v SuppressedRows[K, V]) Open(t graph.Task, how Reading) (Lookup[K, V], error) {
	of, err := v.Of.Open(t, Reading{Sent: true, Kept: how.Kept})
	if err != nil {
		return nil, err
	}
	prior, err := priorIn(t, v.Store)
	if err != nil {
		return nil, err
	}
	return &suppressedRows[K, V]{of, prior, keyEncoder[K]{serde: v.Keys}}, nil
}

type suppressedRows[K, V any] struct {
	of    Lookup[K, V]
	prior priorOf
	keys  keyEncoder[K]
}

func (r *suppressedRows[K, V]) Row(key K, encoding []byte) (Row[V], error) {
	data, err := r.keys.bytes(encoding, key)
	if err != nil {
		return Row[V]{}, err
	}
	prior, held, err := r.prior(data)
	switch {
	case err != nil:
		return Row[V]{}, err
	case !held:
		return r.of.Row(key, encoding)
	case !prior.There:
		return Row[V]{}, nil
	}
	// Its timestamp is no longer known; see BufferedValues.
	return Row[V]{Value: unboxed[V](prior.Value), Timestamp: -1, Present: true}, nil
}
