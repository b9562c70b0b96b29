package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Filter returns a table with the rows for whose value keep is true. keep is not called
// for deletions. The result has no store; see [Table.Stored].
//
// If a row no longer passes, it is deleted in the result. Whether a row that does not
// pass was there before is known only if the table, or one that it is derived from, has a
// store. With a store, a row that is absent before and after is not forwarded. Without a
// store, and if the table is [Versioned], each row that does not pass is forwarded as a
// deletion. Updates keep their order, timestamps and headers.
func (t Table[K, V]) Filter(keep func(V) bool, opts ...Option) Table[K, V] {
	return filterTable(t, "filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Value), nil })
}

// TryFilter is Filter with a function that may fail. If the error policy skips the error,
// the row is absent in the result.
func (t Table[K, V]) TryFilter(keep func(V) (bool, error), opts ...Option) Table[K, V] {
	return filterTable(t, "filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Value) })
}

// FilterNot returns a table with the rows for whose value drop is false.
func (t Table[K, V]) FilterNot(drop func(V) bool, opts ...Option) Table[K, V] {
	return filterTable(t, "filterNot", drop, opts, func(r *graph.Record[K, V]) (bool, error) { return !drop(r.Value), nil })
}

// FilterRecord is Filter with a function that sees the key and the value, and may fail.
// keep is also called for the old row of an update, with the timestamp and the headers of
// the update. Its result must therefore depend on key and value only.
func (t Table[K, V]) FilterRecord(keep func(processor.Record[K, V]) (bool, error), opts ...Option) Table[K, V] {
	return filterTable(t, "filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Record) })
}

func filterTable[K, V any](t Table[K, V], op string, given any, opts []Option, keep func(*graph.Record[K, V]) (bool, error)) Table[K, V] {
	t.n = t.b.addFunc(&node{op: op, table: true, make: operator.TableFilter[K, V]{Keep: keep, Versioned: t.rows.history > 0}.New}, opts, t.n, given)
	t.name = ""
	if t.rows.view != nil {
		t.rows.view = operator.FilteredRows[K, V]{Of: t.rows.view, Keep: keep}
	}
	return t
}

// MapTable turns each value of a table into another one. A deleted row stays deleted, and
// f is not called for it, unless the table's value serde is Optional (see
// serde.Nullable). If an operator on the result needs old values, f is also called for
// the old value of an update. The result of f must therefore depend on the value only.
// Updates keep their order, timestamps and headers. The result has no store; see
// [Table.Stored].
func MapTable[K, V, V2 any](t Table[K, V], f func(V) V2, vs serde.Serde[V2], opts ...Option) Table[K, V2] {
	return mapTable(t, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Value), nil }, vs, opts)
}

// TryMapTable is MapTable with a function that may fail. If the error policy skips the
// error, the row is absent in the result.
func TryMapTable[K, V, V2 any](t Table[K, V], f func(V) (V2, error), vs serde.Serde[V2], opts ...Option) Table[K, V2] {
	return mapTable(t, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Value) }, vs, opts)
}

// MapTableRecord is MapTable with a function that also sees the key, and may fail. The
// result of f must depend on key and value only. f must not change what the key points
// to.
func MapTableRecord[K, V, V2 any](t Table[K, V], f func(processor.Record[K, V]) (V2, error), vs serde.Serde[V2], opts ...Option) Table[K, V2] {
	return mapTable(t, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Record) }, vs, opts)
}

func mapTable[K, V, V2 any](t Table[K, V], given any, f func(*graph.Record[K, V]) (V2, error), vs serde.Serde[V2], opts []Option) Table[K, V2] {
	o := operator.TableMapValues[K, V, V2]{Convert: f, In: t.values, Out: vs}
	n := t.b.addFunc(&node{op: "mapValues", table: true, make: o.New}, opts, t.n, given)
	mapped := Table[K, V2]{b: t.b, n: n, keys: t.keys, values: vs, window: t.window}
	if t.rows.view != nil {
		mapped.rows = rows[K, V2]{operator.MappedRows[K, V, V2]{Of: t.rows.view, TableMapValues: o}, t.rows.in, t.rows.history}
	}
	return mapped
}
