package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// keyEncoder encodes the keys of records for a store.
type keyEncoder[K any] struct {
	serde   serde.Serde[K]
	scratch []byte
}

// bytes returns the encoding of a key, which is known if it is not nil. It is valid until
// the next call.
func (e *keyEncoder[K]) bytes(known []byte, key K) ([]byte, error) {
	if known != nil {
		return known, nil
	}
	return e.encode(key)
}

func (e *keyEncoder[K]) encode(key K) (data []byte, err error) {
	defer graph.Guard(&err)
	if e.scratch, err = e.serde.Append(e.scratch[:0], key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return e.scratch, nil
}
