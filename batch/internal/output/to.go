package output

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/gather"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// To writes the rows of each batch to a topic. It forwards them to the child node Name of
// the processor in which it runs.
type To[K, V any] struct {
	Name        func() string // settled at Build
	Keys        serde.Serde[K]
	Values      serde.Serde[V]
	NoKeys      bool   // records have no keys
	BatchHeader string // header with the end of the batch
	EndHeader   string // header of end records
	EndRecords  bool   // an end record follows the rows of each batch
}

// Consume writes the rows of a source in the counting tasks.
func (t *To[K, V]) Consume(s *rows.Source[K, V]) {
	s.Add(func(how rows.Scan, ctx wire.Context) *rows.Consumer[K, V] {
		if how != rows.Sending {
			return nil
		}
		return t.consumer(ctx)
	})
}

func (t *To[K, V]) consumer(ctx wire.Context) *rows.Consumer[K, V] {
	name := t.Name()
	return &rows.Consumer[K, V]{
		Begin: func() {},
		Row: func(b wire.Span, r *rows.Lazy[K, V]) error {
			record, err := t.record(b, r.KeyBytes, r.Value)
			if err == nil {
				ctx.ForwardTo(name, record)
			}
			return err
		},
		End: func(b wire.Span) error {
			t.end(ctx, b)
			return nil
		},
	}
}

// Gathered writes the rows of a list in the gather task. The cursor is the number of rows
// that are written.
func (t *To[K, V]) Gathered(in gather.List[K, V]) gather.Output {
	return gather.Output{Name: t.Name, Run: func(g *gather.Gatherer) closing.Run {
		w := &writing[K, V]{To: t, g: g, in: in}
		return w.run
	}}
}

// writing is a To in the gather task.
type writing[K, V any] struct {
	*To[K, V]
	g    *gather.Gatherer
	in   gather.List[K, V]
	list []rows.Kept[K, V] // of the batch that is being written
	of   int64             // the end of that batch, 0 if there is none
}

func (w *writing[K, V]) run(b wire.Span, cursor []byte, budget *int) (_ []byte, done bool, err error) {
	if w.of != b.To {
		if err := closing.Safely(func() error { w.list, err = w.in(w.g, b); return err }); err != nil {
			return nil, true, failed(w.Name, b, err)
		}
		w.of = b.To
	}
	at := 0
	if cursor != nil {
		at = int(binary.BigEndian.Uint64(cursor))
	}
	for ; at < len(w.list); at++ {
		if *budget <= 0 {
			return wire.BE64(int64(at)), false, nil
		}
		*budget--
		if err := w.write(b, &w.list[at]); err != nil {
			return wire.BE64(int64(at + 1)), false, err
		}
	}
	w.list, w.of = nil, 0
	w.end(w.g.Context(), b)
	return nil, true, nil
}

func (w *writing[K, V]) write(b wire.Span, k *rows.Kept[K, V]) (err error) {
	key := k.KeyBytes
	if key == nil {
		if key, err = w.Keys.Append(nil, k.Key); err != nil {
			return fmt.Errorf("%s: encode a key: %w", w.Name(), err)
		}
	}
	record, err := w.record(b, key, k.Value)
	if err == nil {
		w.g.Context().ForwardTo(w.Name(), record)
	}
	return err
}

// record returns a row as a record.
func (t *To[K, V]) record(b wire.Span, key []byte, v V) (wire.Record, error) {
	payload, err := t.Values.Append(nil, v)
	if err != nil {
		return wire.Record{}, fmt.Errorf("%s: encode a value: %w", t.Name(), err)
	}
	return wire.Record{
		Key: key, NoKey: t.NoKeys, Timestamp: processor.Timestamp(b.To), Headers: t.headers(b),
		Value: wire.Message{Kind: wire.Sink, Payload: payload}, NoValue: wire.Absent(t.Values, v),
	}, nil
}

// end sends the end record of a batch.
func (t *To[K, V]) end(ctx wire.Context, b wire.Span) {
	if !t.EndRecords {
		return
	}
	task := ctx.Task()
	ctx.ForwardTo(t.Name(), wire.Record{
		NoKey: true, NoValue: true, Value: wire.Message{Kind: wire.Marker}, Timestamp: processor.Timestamp(b.To),
		Headers: t.headers(b).With(t.EndHeader, fmt.Appendf(nil, "%d/%d", task.Partition, task.Partitions)),
	})
}

func (t *To[K, V]) headers(b wire.Span) processor.Headers {
	return processor.Headers{{Key: t.BatchHeader, Value: strconv.AppendInt(nil, b.To, 10)}}
}
