package gather

import (
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// List returns the rows of a batch in the gather task, in order. The caller owns the
// slice.
type List[K, V any] func(g *Gatherer, b wire.Span) ([]rows.Kept[K, V], error)

// First returns the first n rows of a list.
func First[K, V any](in List[K, V], n int) List[K, V] {
	return func(g *Gatherer, b wire.Span) ([]rows.Kept[K, V], error) {
		list, err := in(g, b)
		return rows.Cut(list, n), err
	}
}

// Sorted returns the rows of a list in another order.
func Sorted[K, V any](in List[K, V], compare rows.Order[K, V]) List[K, V] {
	return func(g *Gatherer, b wire.Span) ([]rows.Kept[K, V], error) {
		list, err := in(g, b)
		rows.Sort(list, compare)
		return list, err
	}
}

// Converted returns the rows that f makes of the rows of a list. A row keeps its key. f
// returns the new value, and whether to keep the row.
func Converted[K, V, V2 any](in List[K, V], f func(rows.Row[K, V]) (V2, bool)) List[K, V2] {
	return func(g *Gatherer, b wire.Span) ([]rows.Kept[K, V2], error) {
		list, err := in(g, b)
		var out []rows.Kept[K, V2]
		for _, k := range list {
			if v, ok := f(k.Row); ok {
				out = append(out, rows.Kept[K, V2]{Row: rows.Row[K, V2]{Key: k.Key, Value: v}, KeyBytes: k.KeyBytes})
			}
		}
		return out, err
	}
}

// Transformed returns the rows that f makes of all rows of a list. They have no encoded
// keys.
func Transformed[K, V, K2, V2 any](in List[K, V], f func(wire.Span, []rows.Kept[K, V]) []rows.Kept[K2, V2]) List[K2, V2] {
	return func(g *Gatherer, b wire.Span) ([]rows.Kept[K2, V2], error) {
		list, err := in(g, b)
		if err != nil {
			return nil, err
		}
		return f(b, list), nil
	}
}
