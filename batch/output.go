package batch

import (
	"io"

	"github.com/millrace-streams/millrace/batch/internal/output"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// Output is a handle of an output: of a Print, a ForEach or a To. Its only method gives
// it a name. The zero value belongs to no result: using it panics.
type Output struct {
	h *header
}

// Named replaces the derived name of the output: <result>-print, <result>-foreach, or
// <result>-to-<topic>.
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

// Rows sets the largest number of rows that are printed. Default: 10.
func Rows(n int) PrintOption { return func(o *printOptions) { o.rows = n } }

// Title adds a text after the time of the batch, to tell blocks apart. Default: no text.
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
// The time is local ([time.Local]). It has a fraction of a second only if the batch ends
// between two seconds. A row is (key,value), or the value alone if the key is [Total].
// Keys and values are formatted by fmt.Sprint.
//
// A batch is written with one call of Write, in the process that holds the gather task,
// after its transaction has been committed. If the process crashes between the commit and
// the Write, the batch is not printed. No batch is ever written twice. Write must not
// block for long, because the task waits for it. Errors of Write are logged.
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
// The rows are gathered in memory. f may keep them.
//
// f runs before the transaction is committed. After a crash it may be called again with
// the same batch. The end of the batch identifies it.
//
// An error of f is an error of the gather task and not of a record. Only the actions Fail
// and Skip of the error policy are therefore useful for it.
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

// EndRecords adds a record without key and value after the rows of a batch, in every
// partition of the topic, also for an empty batch.
//
// Beside the header "batch", an end record has the header "batch-end" with "<i>/<n>": it
// comes from sender i of n, counted from 0. When a partition has the end records of all n
// senders, it gets no more rows of the batch.
func EndRecords() ToOption { return func(o *toOptions) { o.endRecords = true } }

// Headers of the records that [Result.To] writes.
const (
	HeaderBatch    = "batch"     // end of the batch: decimal ms since 1970-01-01, UTC
	HeaderBatchEnd = "batch-end" // of end records: <i>/<n>, see EndRecords
)

// To writes every row of every batch to a topic exactly once. The topic must exist. The
// timestamp of a record is the end of the batch, and so is its header "batch", in decimal
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
