package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// gathered is a point as the plan and the gather task see it.
type gathered interface {
	header() *header
	needed() bool
	use()
}

// point is where rows are gathered: from the counting tasks, where each selects what may
// be needed, to the gather task.
type point[K, V any] struct {
	h       *header
	keys    serde.Serde[K]
	values  serde.Serde[V]
	compare order[K, V] // nil: by the bytes of the keys
	limit   int         // rows; all is no limit
	used    bool
}

// order compares rows whose keys have been decoded.
type order[K, V any] func(a, b Row[K, V]) int

// kept is a row that is kept in memory.
type kept[K, V any] struct {
	Row[K, V]
	keyBytes []byte // nil behind a Transform
}

// newPoint adds a point, which is not used until an output hangs on it.
func newPoint[K, V any](r *result[K, V], h *header, compare order[K, V], limit int) *point[K, V] {
	p := &point[K, V]{h: h, keys: r.keys, values: r.values, compare: compare, limit: limit}
	h.e.points = append(h.e.points, p)
	r.rows.add(func(how scan, t *counter) *consumer[K, V] {
		switch {
		case !p.used || (how == sending) != (limit == all):
			return nil
		case how == sending:
			return p.sender(t)
		}
		return p.selector(t)
	})
	return p
}

func (p *point[K, V]) header() *header { return p.h }
func (p *point[K, V]) needed() bool    { return p.used }

func (p *point[K, V]) use() {
	p.used = true
	p.h.needSerde("value", p.values == nil, "to gather them")
}

// sender sends all rows.
func (p *point[K, V]) sender(t *counter) *consumer[K, V] {
	name := p.h.fullName()
	var payload []byte
	return &consumer[K, V]{
		begin: func() {},
		row: func(b wire.Span, r *row[K, V]) (err error) {
			payload, err = p.send(t, name, b, r.keyBytes, r.value, payload)
			return err
		},
		end: func(wire.Span) error { return nil },
	}
}

func (p *point[K, V]) send(t *counter, name string, b wire.Span, key []byte, v V, scratch []byte) ([]byte, error) {
	payload, err := p.values.Append(scratch[:0], v)
	if err != nil {
		return scratch, fmt.Errorf("%s: encode a value: %w", name, err)
	}
	t.gather(key, wire.Message{Kind: wire.Row, Name: name, Span: b, Payload: payload})
	return payload, nil
}

// selector sends the first rows in order.
func (p *point[K, V]) selector(t *counter) *consumer[K, V] {
	name := p.h.fullName()
	var best []kept[K, V]
	return &consumer[K, V]{
		begin: func() { best = nil },
		row: func(b wire.Span, r *row[K, V]) error {
			if p.compare == nil && len(best) == p.limit {
				return nil
			}
			seen, err := r.get()
			if err != nil {
				return err
			}
			best = p.insert(best, kept[K, V]{seen, r.keyBytes})
			return nil
		},
		end: func(b wire.Span) (err error) {
			var payload []byte
			for _, k := range best {
				if payload, err = p.send(t, name, b, k.keyBytes, k.Value, payload); err != nil {
					return err
				}
			}
			best = nil
			return nil
		},
	}
}

// insert keeps the first limit rows. Rows come in order of the bytes of their keys, so
// the new one is behind its equals.
func (p *point[K, V]) insert(best []kept[K, V], k kept[K, V]) []kept[K, V] {
	i := len(best)
	if p.compare != nil {
		i, _ = slices.BinarySearchFunc(best, k, func(a, k kept[K, V]) int {
			if p.compare(a.Row, k.Row) <= 0 {
				return -1
			}
			return 1
		})
	}
	if i == p.limit {
		return best
	}
	if len(best) == p.limit {
		best = best[:p.limit-1]
	}
	k.keyBytes = bytes.Clone(k.keyBytes)
	return slices.Insert(best, i, k)
}

// Rows of the gather store have the keys [1B length][name of the point][8B end of the
// batch][bytes of the key].

func rowKey(name string, to int64, key []byte) []byte {
	k := append([]byte{byte(len(name))}, name...)
	return append(binary.BigEndian.AppendUint64(k, uint64(to)), key...)
}

// load returns the rows of a batch, in order, in the gather task.
func (p *point[K, V]) load(g *gatherer, b wire.Span) ([]kept[K, V], error) {
	name := p.h.fullName()
	prefix := rowKey(name, b.To, nil)
	var out []kept[K, V]
	for e, err := range g.rows.PrefixScan(prefix) {
		if err != nil {
			return nil, err
		}
		k := kept[K, V]{keyBytes: e.Key[len(prefix):]}
		if k.Key, err = p.keys.Decode(k.keyBytes); err != nil {
			return nil, fmt.Errorf("%s: decode a key: %w", name, err)
		}
		if k.Value, err = p.values.Decode(e.Value); err != nil {
			return nil, fmt.Errorf("%s: decode a value: %w", name, err)
		}
		out = append(out, k)
	}
	sortRows(out, p.compare)
	return cut(out, p.limit), nil
}

// sortRows sorts rows; where compare returns 0 they stay in the order they had, which is
// that of the bytes of the keys.
func sortRows[K, V any](rows []kept[K, V], compare order[K, V]) {
	if compare != nil {
		slices.SortStableFunc(rows, func(a, b kept[K, V]) int { return compare(a.Row, b.Row) })
	}
}

// cut returns the first n rows.
func cut[T any](rows []T, n int) []T {
	if n == all || len(rows) <= n {
		return rows
	}
	return rows[:n]
}
