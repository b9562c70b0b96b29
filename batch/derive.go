package batch

import (
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// result is the plan of a result. Its rows are either in the counting tasks (rows),
// perhaps to be sorted, or in the gather task (in), where they have an order.
type result[K, V any] struct {
	h      *header
	keys   serde.Serde[K]
	values serde.Serde[V]

	a *aggregation[K, V] // of which these are the rows as they are, else nil

	rows   *rows[K, V]
	sorted order[K, V]  // of rows; nil: by the bytes of the keys
	whole  *point[K, V] // where all rows are gathered, if they are

	in     list[K, V]
	points []gathered // what in reads
}

// list returns a result's rows of a batch in the gather task. The slice belongs to the
// caller.
type list[K, V any] func(g *gatherer, b wire.Span) ([]kept[K, V], error)

// gather returns the first n rows as a list, in the order of the result, and the points
// that it needs. name is what needs the rows.
func (r *result[K, V]) gather(name *header, n int) (list[K, V], []gathered) {
	switch {
	case r.in != nil && n == all:
		return r.in, r.points
	case r.in != nil:
		in := r.in
		return func(g *gatherer, b wire.Span) ([]kept[K, V], error) {
			rows, err := in(g, b)
			return cut(rows, n), err
		}, r.points
	case n == all && r.sorted != nil: // a SortBy has one point for all that hangs on it
		if r.whole == nil {
			r.whole = newPoint(r, r.h, r.sorted, all)
		}
		return r.whole.load, []gathered{r.whole}
	}
	p := newPoint(r, name, r.sorted, n)
	return p.load, []gathered{p}
}

// derive makes rows one by one.
func derive[K, V, V2 any](r Result[K, V], h *header, vs serde.Serde[V2], f func(Row[K, V]) (V2, bool)) Result[K, V2] {
	if r.r.rows != nil && r.r.sorted == nil {
		return Result[K, V2]{&result[K, V2]{h: h, keys: r.r.keys, values: vs, rows: converted(r.r.rows, f)}}
	}
	in, points := r.r.gather(h, all)
	return Result[K, V2]{&result[K, V2]{h: h, keys: r.r.keys, values: vs, points: points, in: func(g *gatherer, b wire.Span) ([]kept[K, V2], error) {
		rows, err := in(g, b)
		var out []kept[K, V2]
		for _, k := range rows {
			if v, ok := f(k.Row); ok {
				out = append(out, kept[K, V2]{Row[K, V2]{k.Key, v}, k.keyBytes})
			}
		}
		return out, err
	}}}
}

// sortBy sorts rows.
func sortBy[K, V any](r Result[K, V], h *header, compare order[K, V]) Result[K, V] {
	out := &result[K, V]{h: h, keys: r.r.keys, values: r.r.values}
	if r.r.in == nil {
		out.rows, out.sorted = r.r.rows, compare
		return Result[K, V]{out}
	}
	in := r.r.in
	out.points = r.r.points
	out.in = func(g *gatherer, b wire.Span) ([]kept[K, V], error) {
		rows, err := in(g, b)
		sortRows(rows, compare)
		return rows, err
	}
	return Result[K, V]{out}
}

// first keeps the first n rows in an order; nil is the order that they have.
func first[K, V any](r Result[K, V], h *header, compare order[K, V], n int) Result[K, V] {
	if compare != nil {
		r = sortBy(r, h, compare)
	}
	in, points := r.r.gather(h, n)
	return Result[K, V]{&result[K, V]{h: h, keys: r.r.keys, values: r.r.values, in: in, points: points}}
}

// transform makes rows of all rows.
func transform[K, V, K2, V2 any](r Result[K, V], h *header, f func(Batch, []Row[K, V]) []Row[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2]) Result[K2, V2] {
	in, points := r.r.gather(h, all)
	return Result[K2, V2]{&result[K2, V2]{h: h, keys: ks, values: vs, points: points, in: func(g *gatherer, b wire.Span) ([]kept[K2, V2], error) {
		rows, err := in(g, b)
		if err != nil {
			return nil, err
		}
		made := f(batchOf(b), plain(rows))
		out := make([]kept[K2, V2], len(made))
		for i, row := range made {
			out[i].Row = row
		}
		return out, nil
	}}}
}

// plain returns the rows as the user's functions see them.
func plain[K, V any](rows []kept[K, V]) []Row[K, V] {
	out := make([]Row[K, V], len(rows))
	for i, k := range rows {
		out[i] = k.Row
	}
	return out
}

// needSerde reports a serde that is missing.
func (h *header) needSerde(of string, missing bool, why string) {
	if missing {
		h.e.plan.b.Report(fmt.Errorf("batch: %s %q: needs a serde of the %ss, %s: give one where the %ss get their type", h.op, h.fullName(), of, why, of))
		h.e.broken = true
	}
}
