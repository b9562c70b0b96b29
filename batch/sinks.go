package batch

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// output is an output of the gather task.
type output interface {
	header() *header
	run(g *gatherer) closing.Run
}

// whole is an output that takes the rows of a batch at once.
type whole[K, V any] struct {
	h    *header
	in   list[K, V]
	emit func(g *gatherer, b wire.Span, rows []kept[K, V]) error
}

func addWhole[K, V any](r Result[K, V], h *header, n int, emit func(g *gatherer, b wire.Span, rows []kept[K, V]) error) Output {
	in, points := r.r.gather(h, n)
	h.e.addOutput(&whole[K, V]{h, in, emit}, points)
	return Output{h}
}

func (e *every) addOutput(o output, points []gathered) {
	for _, p := range points {
		p.use()
	}
	e.outputs = append(e.outputs, o)
}

func (o *whole[K, V]) header() *header { return o.h }

// run leaves a batch out that fails, if the error policy lets it go on.
func (o *whole[K, V]) run(g *gatherer) closing.Run {
	return func(b wire.Span, _ []byte, budget *int) ([]byte, bool, error) {
		err := closing.Safely(func() error {
			rows, err := o.in(g, b)
			if err != nil {
				return err
			}
			*budget -= len(rows)
			return o.emit(g, b, rows)
		})
		if err != nil {
			err = fmt.Errorf("%s of batch %v: %w", o.h.fullName(), batchOf(b).End, err)
		}
		return nil, true, err
	}
}

func addPrint[K, V any](r Result[K, V], h *header, w io.Writer, o printOptions) Output {
	return addWhole(r, h, o.rows+1, func(g *gatherer, b wire.Span, rows []kept[K, V]) error {
		text := block(b, rows, o)
		g.ctx.OnCommitted(func() {
			if _, err := w.Write(text); err != nil {
				g.ctx.Logger().Error("a batch could not be printed", "result", h.fullName(), "batch", batchOf(b).End, "error", err)
			}
		})
		return nil
	})
}

// printedTime formats a batch's end in local time, as PySpark's pprint does: 2026-11-29
// 02:51:30. A fraction of a second is only written if there is one.
func printedTime(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05.999") }

const rule = "-------------------------------------------\n"

// block is a batch in the form of Spark Streaming's print.
func block[K, V any](b wire.Span, rows []kept[K, V], o printOptions) []byte {
	text := append([]byte(rule+"Time: "), printedTime(b.To)...)
	if o.title != "" {
		text = append(append(text, "  "...), o.title...)
	}
	text = append(text, "\n"+rule...)
	for _, k := range cut(rows, o.rows) {
		if isTotal[K]() {
			text = fmt.Appendln(text, k.Value)
		} else {
			text = fmt.Appendf(text, "(%v,%v)\n", k.Key, k.Value)
		}
	}
	if len(rows) > o.rows {
		text = append(text, "...\n"...)
	}
	return append(text, '\n')
}

func isTotal[K any]() bool {
	_, ok := any(*new(K)).(Total)
	return ok
}

func addForEach[K, V any](r Result[K, V], h *header, f func(Batch, []Row[K, V]) error) Output {
	return addWhole(r, h, all, func(_ *gatherer, b wire.Span, rows []kept[K, V]) error { return f(batchOf(b), plain(rows)) })
}

// to is what all forms of To have in common: how a row becomes a record.
type to[K, V any] struct {
	h      *header
	topic  string
	o      toOptions
	keys   serde.Serde[K]
	values serde.Serde[V]
}

// toHere writes the rows of a batch in the tasks where they are.
func addTo[K, V any](r Result[K, V], h *header, topic string, o toOptions) Output {
	t := &to[K, V]{h, topic, o, r.r.keys, r.r.values}
	h.needSerde("key", r.r.keys == nil, "to write them")
	h.needSerde("value", r.r.values == nil, "to write them")
	if r.r.rows != nil && r.r.sorted == nil {
		r.r.rows.add(t.consumer)
		h.e.sinks = append(h.e.sinks, toSink{h, topic})
		return Output{h}
	}
	in, points := r.r.gather(h, all)
	h.e.addOutput(&toGathered[K, V]{t, in}, points)
	h.e.plan.sinks = append(h.e.plan.sinks, toSink{h, topic})
	return Output{h}
}

// record returns a row as a record.
func (t *to[K, V]) record(b wire.Span, key []byte, v V) (wire.Record, error) {
	payload, err := t.values.Append(nil, v)
	if err != nil {
		return wire.Record{}, fmt.Errorf("%s: encode a value: %w", t.h.fullName(), err)
	}
	return wire.Record{
		Key: key, NoKey: isTotal[K](), Timestamp: processor.Timestamp(b.To), Headers: headers(b),
		Value: wire.Message{Kind: wire.Sink, Payload: payload}, NoValue: absent(t.values, v),
	}, nil
}

func absent[T any](s serde.Serde[T], v T) bool {
	o, ok := s.(serde.Optional[T])
	return ok && o.Absent(v)
}

func headers(b wire.Span) processor.Headers {
	return processor.Headers{{Key: HeaderBatch, Value: strconv.AppendInt(nil, b.To, 10)}}
}

// end sends the end record, if there is to be one.
func (t *to[K, V]) end(ctx wire.Context, b wire.Span) {
	if !t.o.endRecords {
		return
	}
	task := ctx.Task()
	ctx.ForwardTo(t.h.fullName(), wire.Record{
		NoKey: true, NoValue: true, Value: wire.Message{Kind: wire.Marker}, Timestamp: processor.Timestamp(b.To),
		Headers: headers(b).With(HeaderBatchEnd, fmt.Appendf(nil, "%d/%d", task.Partition, task.Partitions)),
	})
}

func (t *to[K, V]) consumer(how scan, c *counter) *consumer[K, V] {
	if how != sending {
		return nil
	}
	name := t.h.fullName()
	return &consumer[K, V]{
		begin: func() {},
		row: func(b wire.Span, r *row[K, V]) error {
			record, err := t.record(b, r.keyBytes, r.value)
			if err == nil {
				c.ctx.ForwardTo(name, record)
			}
			return err
		},
		end: func(b wire.Span) error {
			t.end(c.ctx, b)
			return nil
		},
	}
}

// toGathered writes rows in the gather task. The cursor is the number of rows that are
// written.
type toGathered[K, V any] struct {
	*to[K, V]
	in list[K, V]
}

func (t *toGathered[K, V]) header() *header { return t.h }

func (t *toGathered[K, V]) run(g *gatherer) closing.Run {
	var rows []kept[K, V] // of the batch that is being written
	var of int64
	return func(b wire.Span, cursor []byte, budget *int) (_ []byte, done bool, err error) {
		if of != b.To {
			if err := closing.Safely(func() error { rows, err = t.in(g, b); return err }); err != nil {
				return nil, true, fmt.Errorf("%s of batch %v: %w", t.h.fullName(), batchOf(b).End, err)
			}
			of = b.To
		}
		at := 0
		if cursor != nil {
			at = int(binary.BigEndian.Uint64(cursor))
		}
		for ; at < len(rows); at++ {
			if *budget <= 0 {
				return wire.BE64(int64(at)), false, nil
			}
			*budget--
			if err := t.write(g, b, &rows[at]); err != nil {
				return wire.BE64(int64(at + 1)), false, err
			}
		}
		rows, of = nil, 0
		t.end(g.ctx, b)
		return nil, true, nil
	}
}

func (t *toGathered[K, V]) write(g *gatherer, b wire.Span, k *kept[K, V]) (err error) {
	key := k.keyBytes
	if key == nil {
		if key, err = t.keys.Append(nil, k.Key); err != nil {
			return fmt.Errorf("%s: encode a key: %w", t.h.fullName(), err)
		}
	}
	record, err := t.record(b, key, k.Value)
	if err == nil {
		g.ctx.ForwardTo(t.h.fullName(), record)
	}
	return err
}

// toSink is a topic to which a processor writes.
type toSink struct {
	h     *header
	topic string
}

// attach adds the nodes behind the processor.
func (s toSink) attach(from topology.Stream[[]byte, wire.Message]) {
	unwrap := func(r wire.Record) processor.Record[[]byte, []byte] {
		return processor.Record[[]byte, []byte]{
			Key: r.Key, Value: r.Value.Payload, NoKey: r.NoKey, NoValue: r.NoValue, Timestamp: r.Timestamp, Headers: r.Headers,
		}
	}
	everywhere := func(r processor.Record[[]byte, []byte], n int32) []int32 {
		if _, end := r.Headers.Get(HeaderBatchEnd); !end {
			return nil
		}
		return wire.AllPartitions(n)
	}
	named := topology.Named(s.h.fullName())
	topology.Map(from, unwrap, serde.Bytes, serde.Bytes, named).To(s.topic, topology.Partitioner(everywhere), topology.Named(s.h.fullName()+"-sink"))
}
