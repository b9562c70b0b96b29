package batch

import (
	"reflect"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// Batch identifies a batch: the records that arrived from Start on, and before End.
type Batch struct {
	Start, End time.Time // UTC, whole milliseconds
}

// batchOf returns a batch as users see it.
func batchOf(b wire.Span) Batch { return Batch{Start: b.Start(), End: b.End()} }

// Row is a row of a batch's result.
type Row[K, V any] struct {
	Key   K
	Value V
}

// Total is the key of results that have one row for the whole batch.
type Total struct{}

// Result is a handle of the rows that an aggregation gives for each batch, or of rows
// that an operator has made from them. It is a small value, and each use of it gets all
// rows. The zero value belongs to no builder: using it panics.
type Result[K, V any] struct {
	r *result[K, V]
}

// Named replaces the derived name of the result. Names that are derived from this one
// change too.
func (r Result[K, V]) Named(name string) Result[K, V] {
	r.made().h.name = name
	return r
}

// Filter keeps the rows for which keep is true. keep must not change what the row points
// to. The same holds for the functions of MapRows and SortBy.
func (r Result[K, V]) Filter(keep func(Row[K, V]) bool) Result[K, V] {
	h := r.hang("Filter", "filter", keep == nil)
	keeping := func(row rows.Row[K, V]) (V, bool) { return row.Value, keep(Row[K, V](row)) }
	return Result[K, V]{derive(r.r, h, r.r.values, keeping)}
}

// MapRows turns the value of each row into another one. The key stays. vs may be nil if
// the rows are neither gathered nor sent.
func MapRows[K, V, V2 any](r Result[K, V], f func(Row[K, V]) V2, vs serde.Serde[V2]) Result[K, V2] {
	h := r.hang("MapRows", "map", f == nil)
	made := func(row rows.Row[K, V]) (V2, bool) { return f(Row[K, V](row)), true }
	return Result[K, V2]{derive(r.r, h, vs, made)}
}

// SortBy sorts the rows. compare returns a negative number if a comes before b, and a
// positive one if a comes after b. If it returns 0, the rows are in order of the bytes of
// their keys. All rows are gathered in one place, unless [Result.Take] or Print follows.
func (r Result[K, V]) SortBy(compare func(a, b Row[K, V]) int) Result[K, V] {
	h := r.hang("SortBy", "sort", compare == nil)
	order := func(a, b rows.Row[K, V]) int { return compare(Row[K, V](a), Row[K, V](b)) }
	return Result[K, V]{r.r.sortBy(h, order)}
}

// Top keeps the n rows with the largest values, largest first. Equal values are in order
// of the bytes of their keys. Each task sends at most n rows. Values must be numbers or
// strings; for other types use SortBy and Take.
func (r Result[K, V]) Top(n int) Result[K, V] {
	h := r.hang("Top", "top", false)
	r.needRows(h, n)
	compare := descending[V]()
	if compare == nil {
		h.e.problem("Top of %q: values of type %v have no order: use SortBy and Take", r.r.h.fullName(), reflect.TypeFor[V]())
		compare = func(a, b V) int { return 0 }
	}
	order := func(a, b rows.Row[K, V]) int { return compare(a.Value, b.Value) }
	return Result[K, V]{r.r.sortBy(h, order).first(h, n)}
}

// Take keeps the first n rows. After SortBy, Top or Transform, that is in their order,
// otherwise in order of the bytes of the keys. Each task sends at most n rows.
func (r Result[K, V]) Take(n int) Result[K, V] {
	h := r.hang("Take", "take", false)
	r.needRows(h, n)
	return Result[K, V]{r.r.first(h, n)}
}

// Transform turns all rows of a batch at once into other rows. The rows are gathered in
// the memory of one task. f gets them in their order, and may change the slice. After a
// crash f may be called again with the same batch, and must then return the same rows.
// The serdes may be nil if the rows are not sent.
func Transform[K, V, K2, V2 any](r Result[K, V], f func(Batch, []Row[K, V]) []Row[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2]) Result[K2, V2] {
	h := r.hang("Transform", "transform", f == nil)
	made := func(b wire.Span, in []rows.Kept[K, V]) []rows.Kept[K2, V2] { return kept(f(batchOf(b), plain(in))) }
	return Result[K2, V2]{transform(r.r, h, made, ks, vs)}
}

// plain returns rows as user functions see them.
func plain[K, V any](in []rows.Kept[K, V]) []Row[K, V] {
	out := make([]Row[K, V], len(in))
	for i, k := range in {
		out[i] = Row[K, V](k.Row)
	}
	return out
}

// kept returns the rows that a user function has made.
func kept[K, V any](in []Row[K, V]) []rows.Kept[K, V] {
	out := make([]rows.Kept[K, V], len(in))
	for i, r := range in {
		out[i].Row = rows.Row[K, V](r)
	}
	return out
}

// made returns the plan of r. If r is the zero value, made panics with a message that
// says how a Result is made.
func (r Result[K, V]) made() *result[K, V] {
	if r.r == nil {
		panic("batch: the Result was not made by Count, CountByValue, ReduceByKey or AggregateByKey, nor derived from one of their results")
	}
	return r.r
}

// hang declares an operator or output on the result. Every method and function of a
// result calls it first. missing says that a function is nil.
func (r Result[K, V]) hang(op, suffix string, missing bool) *header {
	h := &header{e: r.made().h.e, parent: r.r.h, op: op, suffix: suffix}
	h.e.plan.claim(h)
	if missing {
		h.e.problem("%s of %q: the function is nil", op, r.r.h.fullName())
	}
	return h
}

func (r Result[K, V]) needRows(h *header, n int) {
	if n < 1 {
		h.e.problem("%s of %q: the number of rows is %d: it must be at least 1", h.op, r.r.h.fullName(), n)
	}
}

// isTotal reports whether K is Total.
func isTotal[K any]() bool {
	_, ok := any(*new(K)).(Total)
	return ok
}
