package batch

import (
	"github.com/millrace-streams/millrace/batch/internal/count"
	"github.com/millrace-streams/millrace/batch/internal/gather"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// result is the plan of a result. Its rows are in one of two places:
//
//   - in the counting tasks: rows, with an order in which they are to be gathered
//   - in the gather task: in, which has them in their order
type result[K, V any] struct {
	h      *header
	keys   serde.Serde[K]
	values serde.Serde[V]

	a *count.Aggregation[K, V] // if these are its rows as they are

	rows   *rows.Source[K, V]
	sorted rows.Order[K, V]
	whole  gather.List[K, V] // all rows, if they are gathered

	in     gather.List[K, V]
	points []point // that in or whole read
}

// here reports whether the counting tasks have the rows, in no special order.
func (r *result[K, V]) here() bool { return r.rows != nil && r.sorted == nil }

// gather returns the first n rows as a list, in the order of the result, and the points
// that the list reads. h is the declaration that needs the rows.
func (r *result[K, V]) gather(h *header, n int) (gather.List[K, V], []point) {
	switch {
	case r.in != nil && n == rows.All:
		return r.in, r.points
	case r.in != nil:
		return gather.First(r.in, n), r.points
	case n == rows.All && r.sorted != nil: // all that hangs on a SortBy shares one point
		if r.whole == nil {
			r.whole, r.points = r.collect(r.h, n)
		}
		return r.whole, r.points
	}
	return r.collect(h, n)
}

// collect gathers the first n rows at a point with the name of h.
func (r *result[K, V]) collect(h *header, n int) (gather.List[K, V], []point) {
	p := &gather.Point[K, V]{
		Name: h.fullName, Child: h.e.gatherChild(), Keys: r.keys, Values: r.values, Compare: r.sorted, Limit: n,
	}
	p.Collect(r.rows)
	h.e.points = append(h.e.points, p)
	return p.List, []point{{p, h, r.values == nil}}
}

// derive makes rows one by one.
func derive[K, V, V2 any](r *result[K, V], h *header, vs serde.Serde[V2], f func(rows.Row[K, V]) (V2, bool)) *result[K, V2] {
	if r.here() {
		return &result[K, V2]{h: h, keys: r.keys, values: vs, rows: rows.Convert(r.rows, f)}
	}
	in, points := r.gather(h, rows.All)
	return &result[K, V2]{h: h, keys: r.keys, values: vs, points: points, in: gather.Converted(in, f)}
}

// sortBy sorts rows.
func (r *result[K, V]) sortBy(h *header, compare rows.Order[K, V]) *result[K, V] {
	out := &result[K, V]{h: h, keys: r.keys, values: r.values}
	if r.in == nil {
		out.rows, out.sorted = r.rows, compare
		return out
	}
	out.in, out.points = gather.Sorted(r.in, compare), r.points
	return out
}

// first keeps the first n rows.
func (r *result[K, V]) first(h *header, n int) *result[K, V] {
	in, points := r.gather(h, n)
	return &result[K, V]{h: h, keys: r.keys, values: r.values, in: in, points: points}
}

// transform makes other rows from all rows.
func transform[K, V, K2, V2 any](r *result[K, V], h *header, f func(wire.Span, []rows.Kept[K, V]) []rows.Kept[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2]) *result[K2, V2] {
	in, points := r.gather(h, rows.All)
	return &result[K2, V2]{h: h, keys: ks, values: vs, points: points, in: gather.Transformed(in, f)}
}
