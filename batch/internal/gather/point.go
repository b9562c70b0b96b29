package gather

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// Point is where the rows of a result are gathered. A point that no output uses sends
// nothing.
type Point[K, V any] struct {
	Name    func() string // names the rows; settled at Build
	Child   string        // child node of the counter that leads to the gather task
	Keys    serde.Serde[K]
	Values  serde.Serde[V]
	Compare rows.Order[K, V]
	Limit   int // the rows that are needed of a batch, rows.All for all of them

	needed bool
}

// Use says that an output needs the point.
func (p *Point[K, V]) Use() { p.needed = true }

func (p *Point[K, V]) used() bool   { return p.needed }
func (p *Point[K, V]) name() string { return p.Name() }

// Collect adds the point to the consumers of a source.
func (p *Point[K, V]) Collect(s *rows.Source[K, V]) {
	s.Add(func(how rows.Scan, ctx wire.Context) *rows.Consumer[K, V] {
		switch {
		case !p.needed || (how == rows.Sending) != (p.Limit == rows.All):
			return nil
		case how == rows.Sending:
			return p.sender(ctx)
		}
		return p.selector(ctx)
	})
}

// sender sends all rows.
func (p *Point[K, V]) sender(ctx wire.Context) *rows.Consumer[K, V] {
	name := p.Name()
	var payload []byte
	return &rows.Consumer[K, V]{
		Begin: func() {},
		Row: func(b wire.Span, r *rows.Lazy[K, V]) (err error) {
			payload, err = p.send(ctx, name, b, r.KeyBytes, r.Value, payload)
			return err
		},
		End: func(wire.Span) error { return nil },
	}
}

// send sends a row. It returns the buffer for the next value.
func (p *Point[K, V]) send(ctx wire.Context, name string, b wire.Span, key []byte, v V, scratch []byte) ([]byte, error) {
	payload, err := p.Values.Append(scratch[:0], v)
	if err != nil {
		return scratch, fmt.Errorf("%s: encode a value: %w", name, err)
	}
	wire.Send(ctx, p.Child, key, wire.Message{Kind: wire.Row, Name: name, Span: b, Payload: payload})
	return payload, nil
}

// selector sends the first rows in order.
func (p *Point[K, V]) selector(ctx wire.Context) *rows.Consumer[K, V] {
	name := p.Name()
	var best []rows.Kept[K, V]
	return &rows.Consumer[K, V]{
		Begin: func() { best = nil },
		Row: func(_ wire.Span, r *rows.Lazy[K, V]) error {
			if p.Compare == nil && len(best) == p.Limit {
				return nil
			}
			seen, err := r.Get()
			if err != nil {
				return err
			}
			best = p.insert(best, rows.Kept[K, V]{Row: seen, KeyBytes: r.KeyBytes})
			return nil
		},
		End: func(b wire.Span) (err error) {
			var payload []byte
			for _, k := range best {
				if payload, err = p.send(ctx, name, b, k.KeyBytes, k.Value, payload); err != nil {
					return err
				}
			}
			best = nil
			return nil
		},
	}
}

// insert keeps the first Limit rows. Rows come in order of the bytes of their keys, so a
// new row goes behind the rows that are equal to it.
func (p *Point[K, V]) insert(best []rows.Kept[K, V], k rows.Kept[K, V]) []rows.Kept[K, V] {
	i := len(best)
	if p.Compare != nil {
		i, _ = slices.BinarySearchFunc(best, k, func(a, k rows.Kept[K, V]) int {
			if p.Compare(a.Row, k.Row) <= 0 {
				return -1
			}
			return 1
		})
	}
	if i == p.Limit {
		return best
	}
	if len(best) == p.Limit {
		best = best[:p.Limit-1]
	}
	k.KeyBytes = bytes.Clone(k.KeyBytes)
	return slices.Insert(best, i, k)
}

// List reads the rows of a batch in the gather task.
func (p *Point[K, V]) List(g *Gatherer, b wire.Span) ([]rows.Kept[K, V], error) {
	name := p.Name()
	prefix := rowKey(name, b.To, nil)
	var out []rows.Kept[K, V]
	for e, err := range g.rows.PrefixScan(prefix) {
		if err != nil {
			return nil, err
		}
		k := rows.Kept[K, V]{KeyBytes: e.Key[len(prefix):]}
		if k.Key, err = p.Keys.Decode(k.KeyBytes); err != nil {
			return nil, fmt.Errorf("%s: decode a key: %w", name, err)
		}
		if k.Value, err = p.Values.Decode(e.Value); err != nil {
			return nil, fmt.Errorf("%s: decode a value: %w", name, err)
		}
		out = append(out, k)
	}
	rows.Sort(out, p.Compare)
	return rows.Cut(out, p.Limit), nil
}
