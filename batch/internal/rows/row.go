package rows

import (
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/serde"
)

// Row is a row of a result as user functions see it. Package batch has a type of its own
// with the same fields.
type Row[K, V any] struct {
	Key   K
	Value V
}

// Lazy is a row on its way from a store to a consumer. The sender owns it and uses it
// again: it is valid during the call.
type Lazy[K, V any] struct {
	KeyBytes []byte
	Value    V

	keys    serde.Serde[K]
	key     K // if decoded
	decoded bool
}

// NewLazy returns a row whose key is not decoded yet.
func NewLazy[K, V any](keyBytes []byte, keys serde.Serde[K], value V) Lazy[K, V] {
	return Lazy[K, V]{KeyBytes: keyBytes, Value: value, keys: keys}
}

// Get returns the row as user functions see it. It decodes the key at the first call.
func (r *Lazy[K, V]) Get() (out Row[K, V], err error) {
	if !r.decoded {
		if r.key, err = r.keys.Decode(r.KeyBytes); err != nil {
			return out, fmt.Errorf("decode a key: %w", err)
		}
		r.decoded = true
	}
	return Row[K, V]{Key: r.key, Value: r.Value}, nil
}

// Kept is a row that is kept in memory.
type Kept[K, V any] struct {
	Row[K, V]
	KeyBytes []byte // nil behind a Transform
}

// Order compares two rows: the result is negative if a comes before b, positive if a
// comes after b. A nil Order is the order of the bytes of the keys.
type Order[K, V any] func(a, b Row[K, V]) int

// Sort sorts rows that are in order of the bytes of their keys. Rows for which compare
// returns 0 stay in that order.
func Sort[K, V any](rows []Kept[K, V], compare Order[K, V]) {
	if compare != nil {
		slices.SortStableFunc(rows, func(a, b Kept[K, V]) int { return compare(a.Row, b.Row) })
	}
}

// All is the limit of a result that has none.
const All = -1

// Cut returns the first n rows, which may be All.
func Cut[T any](rows []T, n int) []T {
	if n == All || len(rows) <= n {
		return rows
	}
	return rows[:n]
}
