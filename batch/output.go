package batch

import (
	"io"

	"github.com/millrace-streams/millrace/batch/internal/output"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// Output is a handle of where a result goes. There is nothing to do with it but to name
// it. One that is the zero value belongs to no result, and using it panics.
type Output struct {
	h *header
}

// Named gives the output another name than the one derived from the result:
// <result>-print, <result>-foreach, or <result>-to-<topic>.
func (o Output) Named(name string) Output {
	if o.h == nil {
		panic("batch: the Output was not made by Print, ForEach or To")
	}
	o.h.name = name
	return o
}

// PrintOption is an option of [Result.Print].
type PrintOption func(*printOptions)

type printOptions struct {
	rows  int
	title string
}

// Rows is how many rows are printed at most. Default: 10.
func Rows(n int) PrintOption { return func(o *printOptions) { o.rows = n } }

// Title is what stands behind the batch's end, to tell blocks apart. Default: nothing.
func Title(title string) PrintOption { return func(o *printOptions) { o.title = title } }

// Print writes each batch as PySpark's pprint does: a rule, the batch's end, a rule, up
// to ten rows, "..." if there are more, and an empty line:
//
//	-------------------------------------------
//	Time: 2026-11-29 02:51:30
//	-------------------------------------------
//	(ann,3)
//	(bob,1)
//
// The time is local ([time.Local]), with a fraction of a second only if the batch ends
// between two seconds. A row is (key,value), or the value alone if the key is [Total].
// Keys and values are formatted by fmt.Sprint.
//
// A batch is written with one call of Write, in the process that holds the gather task,
// after its transaction has been committed. A crash in between loses it, and nothing is
// ever written twice. Write must not block for long: the task waits for it. Its errors
// are logged.
func (r Result[K, V]) Print(w io.Writer, opts ...PrintOption) Output {
	o := printOptions{rows: 10}
	apply(&o, opts)
	h := r.hang("Print", "print", false)
	if w == nil {
		h.e.problem("Print of %q: the writer is nil", r.r.h.fullName())
	}
	r.needRows(h, o.rows)
	format := output.Format{Rows: o.rows, Title: o.title, NoKeys: isTotal[K]()}
	in, points := r.r.gather(h, o.rows+1)
	h.e.addOutput(output.Print(h.fullName, in, w, format), points)
	return Output{h}
}

// ForEach calls f with all rows of each batch, in the process that holds the gather task.
// f runs before the transaction is committed, and so may be called again with the same
// batch after a crash: the batch's end tells that it is the same. The rows are gathered
// in memory; f may keep them. A failure of f is one of the gather task, and has nothing
// to do with a record: only the policies Fail and Skip make sense for it.
func (r Result[K, V]) ForEach(f func(Batch, []Row[K, V]) error) Output {
	h := r.hang("ForEach", "foreach", f == nil)
	each := func(b wire.Span, list []rows.Kept[K, V]) error { return f(batchOf(b), plain(list)) }
	in, points := r.r.gather(h, rows.All)
	h.e.addOutput(output.Each(h.fullName, in, each), points)
	return Output{h}
}

// ToOption is an option of [Result.To].
type ToOption func(*toOptions)

type toOptions struct {
	endRecords bool
}

// EndRecords adds, after a batch's rows, a record without key and value to every
// partition of the topic, also for an empty batch. Beside the header "batch" it has the
// header "batch-end" with "<i>/<n>": it is from sender i, counted from 0, of n. In a
// partition that has the end records of all n there are no more rows of the batch.
func EndRecords() ToOption { return func(o *toOptions) { o.endRecords = true } }

// Headers of the records that [Result.To] writes.
const (
	HeaderBatch    = "batch"     // the batch's end in ms since 1970-01-01T00:00:00Z, decimal
	HeaderBatchEnd = "batch-end" // of end records: <i>/<n>, see EndRecords
)

// To writes every row of every batch to a topic, which must exist, exactly once. The
// timestamp of a record is the batch's end, and so is its header "batch", in decimal
// milliseconds. A row whose key is [Total] is a record without a key. A batch without
// rows writes nothing.
func (r Result[K, V]) To(topic string, opts ...ToOption) Output {
	var o toOptions
	apply(&o, opts)
	h := r.hang("To", "to-"+topic, false)
	h.needSerde("key", r.r.keys == nil, "to write them")
	h.needSerde("value", r.r.values == nil, "to write them")
	to := &output.To[K, V]{
		Name: h.fullName, Keys: r.r.keys, Values: r.r.values, NoKeys: isTotal[K](),
		BatchHeader: HeaderBatch, EndHeader: HeaderBatchEnd, EndRecords: o.endRecords,
	}
	if r.r.here() {
		to.Consume(r.r.rows)
		h.e.sinks = append(h.e.sinks, sink{h, topic})
		return Output{h}
	}
	in, points := r.r.gather(h, rows.All)
	h.e.addOutput(to.Gathered(in), points)
	h.e.plan.sinks = append(h.e.plan.sinks, sink{h, topic})
	return Output{h}
}

func isTotal[K any]() bool {
	_, ok := any(*new(K)).(Total)
	return ok
}
