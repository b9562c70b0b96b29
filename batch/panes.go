package batch

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/state"
)

// paneKey is the key of a row in the store of an aggregation: the pane, which is the
// batch by its end, and the bytes of the row's key. So a store is in order of panes, and
// a pane in order of the keys' bytes.
type paneKey struct {
	pane int64
	key  []byte
}

// paneKeySerde encodes the keys of the rows of an aggregation: the end of the batch, then
// the encoded key.
type paneKeySerde struct {
	keys string // format of the keys; not needed to encode
}

var errPaneKey = errors.New("not the key of a batch's row")

func (paneKeySerde) Append(dst []byte, k paneKey) ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(dst, uint64(k.pane)), k.key...), nil
}

func (paneKeySerde) Decode(data []byte) (paneKey, error) {
	if len(data) < 8 {
		return paneKey{}, errPaneKey
	}
	return paneKey{pane: int64(binary.BigEndian.Uint64(data)), key: append([]byte{}, data[8:]...)}, nil
}

func (paneKeySerde) String() string { return "pane key" }

// RowFormat is what the record of a store's rows says of the keys. String has to stay as
// it is: state directories of earlier versions have it.
func (s paneKeySerde) RowFormat() string { return "pane key of " + s.keys }

// panes is an aggregation in a counting task.
type panes[K, A any] struct {
	a         *aggregation[K, A]
	t         *counter
	store     state.KeyValueStore[paneKey, A]
	windows   []*windowing[K, A]
	longest   int64 // ms, of the windows; 0 without any
	dropped   int64 // panes up to this end are not there any more, as far as this instance knows
	immutable bool
}

func (c *panes[K, A]) merge(b wire.Span, key, payload []byte) error {
	value, err := c.a.values.Decode(payload)
	if err != nil {
		return fmt.Errorf("%s: decode a partial result: %w", c.a.h.fullName(), err)
	}
	k := paneKey{pane: b.To, key: key}
	old, ok, err := c.store.Get(k)
	if err != nil {
		return err
	}
	if ok {
		value = c.a.merge(old, value)
	}
	return c.store.Put(k, value)
}

// check refuses a window that was not there for some time: its totals have batches whose
// panes are gone.
func (c *panes[K, A]) check(at *closing.Closer) error {
	for _, w := range c.windows {
		if w.entered >= 0 && !at.At(w.entered) {
			return fmt.Errorf("batch: Window %q: it was taken out of the program for some batches, so what it has stored is of no use: give it another name with .Named(...)", w.w.h.fullName())
		}
	}
	return nil
}

// steps brings the windows up to date first: the selections and sends that follow change
// nothing, so they may be interrupted.
func (c *panes[K, A]) steps() (steps []closing.Step) {
	name := c.a.h.fullName()
	for _, w := range c.windows {
		window := w.w.h.fullName()
		steps = append(steps,
			closing.Step{Name: window + "/leave", Durable: true, Run: func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
				return c.leave(w, b, cursor, budget)
			}},
			closing.Step{Name: window + "/enter", Durable: true, Run: func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
				return c.enter(w, b, cursor, budget)
			}})
	}
	steps = c.scans(steps, name, &c.a.rows, c.pane)
	for _, w := range c.windows {
		steps = c.scans(steps, w.w.h.fullName(), &w.w.rows, w.totals)
	}
	return append(steps, closing.Step{Name: name + "/drop", Durable: true, Run: c.drop})
}

// source yields rows of a batch, those after the cursor, until yield returns false.
type source[A any] func(b wire.Span, cursor []byte, yield func(key []byte, value A) bool) error

// scans adds the steps in which rows are sent and selected.
func (c *panes[K, A]) scans(steps []closing.Step, name string, n *rows[K, A], from source[A]) []closing.Step {
	if all := n.instance(sending, c.t); all != nil {
		steps = append(steps, closing.Step{Name: name + "/send", Durable: true, Run: c.scan(from, all)})
	}
	if best := n.instance(selecting, c.t); best != nil {
		steps = append(steps, closing.Step{Name: name + "/select", Run: c.scan(from, best)})
	}
	return steps
}

func (c *panes[K, A]) scan(from source[A], to *consumer[K, A]) closing.Run {
	return func(b wire.Span, cursor []byte, budget *int) (_ []byte, done bool, err error) {
		if cursor == nil {
			to.begin()
		}
		paused := false
		failure := from(b, cursor, func(key []byte, value A) bool {
			if paused = *budget <= 0; paused {
				return false
			}
			*budget--
			cursor = key
			err = closing.Safely(func() error { return to.row(b, &row[K, A]{keyBytes: key, keys: c.a.keys, value: value}) })
			return err == nil
		})
		if failure != nil || err != nil || paused {
			return cursor, false, cmp.Or(failure, err)
		}
		if cursor == nil && c.a.always && c.t.owns(totalKey) {
			if err := closing.Safely(func() error { return to.row(b, &row[K, A]{keyBytes: totalKey, keys: c.a.keys}) }); err != nil {
				return totalKey, false, err
			}
		}
		return nil, true, to.end(b)
	}
}

// totalKey is the encoding of Total.
var totalKey = []byte{0}

// pane is the source of a batch's own rows.
func (c *panes[K, A]) pane(b wire.Span, cursor []byte, yield func([]byte, A) bool) error {
	return c.from(paneKey{b.To, cursor}, cursor != nil, b.To, func(k paneKey, v A) bool { return yield(k.key, v) })
}

// from yields the rows from a key, or after it, to the end of a pane.
func (c *panes[K, A]) from(k paneKey, after bool, to int64, yield func(paneKey, A) bool) error {
	for e, err := range c.store.From(k) {
		if err != nil {
			return err
		}
		if e.Key.pane > to {
			return nil
		}
		if after && e.Key.pane == k.pane && bytes.Equal(e.Key.key, k.key) {
			continue
		}
		if !yield(e.Key, e.Value) {
			return nil
		}
	}
	return nil
}

// walk calls f for the rows of the panes after the one that ends at after, up to the one
// that ends at to. The cursor is an encoded paneKey.
func (c *panes[K, A]) walk(after, to int64, cursor []byte, budget *int, f func(k paneKey, v A) error) (next []byte, done bool, err error) {
	start := paneKey{pane: after + 1}
	if cursor != nil {
		if start, err = (paneKeySerde{}).Decode(cursor); err != nil {
			return nil, true, err
		}
	}
	paused := false
	failure := c.from(start, cursor != nil, to, func(k paneKey, v A) bool {
		if paused = *budget <= 0; paused {
			return false
		}
		*budget--
		cursor, _ = paneKeySerde{}.Append(nil, k)
		err = closing.Safely(func() error { return f(k, v) })
		return err == nil
	})
	return cursor, failure == nil && err == nil && !paused, cmp.Or(failure, err)
}

// drop removes the panes that no window will need.
func (c *panes[K, A]) drop(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	limit := b.To - c.longest
	next, done, err := c.walk(c.dropped, limit, cursor, budget, func(k paneKey, _ A) error {
		_, _, err := c.store.Delete(k)
		return err
	})
	if done {
		c.dropped = max(c.dropped, limit)
	}
	return next, done, err
}

// immutable reports whether values of a type cannot be changed in place.
func immutable[A any]() bool {
	k := reflect.TypeFor[A]().Kind()
	return k == reflect.String || k >= reflect.Bool && k <= reflect.Complex128
}

// clone returns a copy of a value that shares nothing with it.
func (c *panes[K, A]) clone(v A) (A, error) {
	if c.immutable {
		return v, nil
	}
	data, err := c.a.values.Append(nil, v)
	if err != nil {
		return v, err
	}
	return c.a.values.Decode(data)
}
