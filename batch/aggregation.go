package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// aggregate is an aggregation as the plan sees it.
type aggregate interface {
	header() *header

	// settle makes the specs of the stores, whose names are known now.
	settle() []processor.StoreSpec

	// open makes what a counting task has of it.
	open(t *counter) (counting, error)
}

// counting is an aggregation in a counting task.
type counting interface {
	// merge adds a partial result.
	merge(b span, key, payload []byte) error
	// steps are done when a batch is complete.
	steps() []step
	// check refuses what does not fit to where c goes on.
	check(c *closer) error
}

// aggregation is the plan of an aggregation: a store with a pane for each batch, and windows over the panes.
type aggregation[K, A any] struct {
	h       *header
	keys    serde.Serde[K]
	values  serde.Serde[A]
	merge   func(a, b A) A
	inverse func(total, leaving A) A // may be nil
	always  bool                     // there is one key, and a row also where nothing was counted
	windows []*window[K, A]
	rows    rows[K, A]
	spec    state.Spec[paneKey, A]
}

// window is the plan of a window: a store with the running total of each key.
type window[K, A any] struct {
	h    *header
	size int64 // ms
	rows rows[K, A]
	spec state.Spec[[]byte, total[A]]
}

func (a *aggregation[K, A]) header() *header { return a.h }

func (a *aggregation[K, A]) settle() []processor.StoreSpec {
	a.spec = state.KeyValue(a.h.fullName(), serde.Serde[paneKey](paneKeySerde{}), a.values)
	specs := []processor.StoreSpec{a.spec}
	for _, w := range a.windows {
		totals := runningSerde[A]{counted: a.inverse != nil, value: a.values}
		w.spec = state.KeyValue(w.h.fullName(), serde.Bytes, serde.Serde[total[A]](totals))
		specs = append(specs, w.spec)
	}
	return specs
}

func (a *aggregation[K, A]) open(t *counter) (counting, error) {
	c := &panes[K, A]{a: a, t: t, store: state.Open(t.ctx, a.spec), immutable: immutable[A]()}
	for _, w := range a.windows {
		o := &windowing[K, A]{w: w, store: state.Open(t.ctx, w.spec), entered: -1, left: -1}
		if err := o.load(t.marks); err != nil {
			return nil, err
		}
		c.windows = append(c.windows, o)
		c.longest = max(c.longest, w.size)
	}
	return c, nil
}

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

func (c *panes[K, A]) merge(b span, key, payload []byte) error {
	value, err := c.a.values.Decode(payload)
	if err != nil {
		return fmt.Errorf("%s: decode a partial result: %w", c.a.h.fullName(), err)
	}
	k := paneKey{pane: b.to, key: key}
	old, ok, err := c.store.Get(k)
	if err != nil {
		return err
	}
	if ok {
		value = c.a.merge(old, value)
	}
	return c.store.Put(k, value)
}

// check refuses a window that was not there for some time: its totals have batches whose panes are gone.
func (c *panes[K, A]) check(at *closer) error {
	for _, w := range c.windows {
		if w.entered >= 0 && w.entered != at.marks.done && !(at.active && w.entered == at.batch.to) {
			return fmt.Errorf("batch: Window %q: it was taken out of the program for some batches, so what it has stored is of no use: give it another name with .Named(...)", w.w.h.fullName())
		}
	}
	return nil
}

// steps brings the windows up to date first: the selections and sends that follow change nothing, so they may be interrupted.
func (c *panes[K, A]) steps() (steps []step) {
	name := c.a.h.fullName()
	for _, w := range c.windows {
		window := w.w.h.fullName()
		steps = append(steps,
			step{window + "/leave", true, func(b span, cursor []byte, budget *int) ([]byte, bool, error) {
				return c.leave(w, b, cursor, budget)
			}},
			step{window + "/enter", true, func(b span, cursor []byte, budget *int) ([]byte, bool, error) {
				return c.enter(w, b, cursor, budget)
			}})
	}
	steps = c.scans(steps, name, &c.a.rows, c.pane)
	for _, w := range c.windows {
		steps = c.scans(steps, w.w.h.fullName(), &w.w.rows, w.totals)
	}
	return append(steps, step{name + "/drop", true, c.drop})
}

// source yields rows of a batch, those after the cursor, until yield returns false.
type source[A any] func(b span, cursor []byte, yield func(key []byte, value A) bool) error

// scans adds the steps in which rows are sent and selected.
func (c *panes[K, A]) scans(steps []step, name string, n *rows[K, A], from source[A]) []step {
	if all := n.instance(sending, c.t); all != nil {
		steps = append(steps, step{name + "/send", true, c.scan(from, all)})
	}
	if best := n.instance(selecting, c.t); best != nil {
		steps = append(steps, step{name + "/select", false, c.scan(from, best)})
	}
	return steps
}

func (c *panes[K, A]) scan(from source[A], to *consumer[K, A]) func(span, []byte, *int) ([]byte, bool, error) {
	return func(b span, cursor []byte, budget *int) (_ []byte, done bool, err error) {
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
			err = safely(func() error { return to.row(b, &row[K, A]{keyBytes: key, keys: c.a.keys, value: value}) })
			return err == nil
		})
		if failure != nil || err != nil || paused {
			return cursor, false, firstError(failure, err)
		}
		if cursor == nil && c.a.always && c.t.owns(totalKey) {
			if err := safely(func() error { return to.row(b, &row[K, A]{keyBytes: totalKey, keys: c.a.keys}) }); err != nil {
				return totalKey, false, err
			}
		}
		return nil, true, to.end(b)
	}
}

// totalKey is the encoding of Total.
var totalKey = []byte{0}

// pane is the source of a batch's own rows.
func (c *panes[K, A]) pane(b span, cursor []byte, yield func([]byte, A) bool) error {
	return c.from(paneKey{b.to, cursor}, cursor != nil, b.to, func(k paneKey, v A) bool { return yield(k.key, v) })
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

// walk calls f for the rows of the panes after the one that ends at after, up to the one that ends at to. The cursor is an encoded paneKey.
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
		err = safely(func() error { return f(k, v) })
		return err == nil
	})
	return cursor, failure == nil && err == nil && !paused, firstError(failure, err)
}

// drop removes the panes that no window will need.
func (c *panes[K, A]) drop(b span, cursor []byte, budget *int) ([]byte, bool, error) {
	limit := b.to - c.longest
	next, done, err := c.walk(c.dropped, limit, cursor, budget, func(k paneKey, _ A) error {
		_, _, err := c.store.Delete(k)
		return err
	})
	if done {
		c.dropped = max(c.dropped, limit)
	}
	return next, done, err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// safely calls what may be the user's. A panic must not get past what keeps the cursor.
func safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &processor.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
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

// windowing is a window in a counting task.
type windowing[K, A any] struct {
	w       *window[K, A]
	store   state.KeyValueStore[[]byte, total[A]]
	entered int64 // the panes up to this end are in the totals, but those
	left    int64 // up to this one; -1 at first
}

func (w *windowing[K, A]) row(marks *watermarks) []byte {
	return marks.row(rowWindow, []byte(w.w.h.fullName())...)
}

func (w *windowing[K, A]) load(marks *watermarks) error {
	row, ok, err := marks.store.Get(w.row(marks))
	if err != nil || !ok {
		return err
	}
	if len(row) != 16 {
		return fmt.Errorf("store %s: the row of window %s is not readable", marks.store.Name(), w.w.h.fullName())
	}
	w.entered, w.left = int64(binary.BigEndian.Uint64(row)), int64(binary.BigEndian.Uint64(row[8:]))
	return nil
}

func (w *windowing[K, A]) save(marks *watermarks) error {
	return marks.store.Put(w.row(marks), append(be64(w.entered), be64(w.left)...))
}

// leave takes the panes out of the totals whose end is not in the window any more.
func (c *panes[K, A]) leave(w *windowing[K, A], b span, cursor []byte, budget *int) ([]byte, bool, error) {
	next, done, err := c.walk(w.left, min(b.to-w.w.size, w.entered), cursor, budget, func(k paneKey, v A) error {
		t, ok, err := w.store.Get(k.key)
		if err != nil || !ok {
			return err
		}
		if t.count--; t.count <= 0 {
			_, _, err = w.store.Delete(k.key)
			return err
		}
		if c.a.inverse != nil {
			t.value = c.a.inverse(t.value, v)
			return w.store.Put(k.key, t)
		}
		if t, err = c.without(t, k); err != nil {
			return err
		}
		return w.store.Put(k.key, t)
	})
	if done {
		w.left = max(w.left, b.to-w.w.size)
		err = w.save(c.t.marks)
	}
	return next, done, err
}

// without merges the panes of a key anew, except one.
func (c *panes[K, A]) without(t total[A], k paneKey) (total[A], error) {
	rest := total[A]{count: t.count}
	for _, p := range t.panes {
		if p == k.pane {
			continue
		}
		v, ok, err := c.store.Get(paneKey{p, k.key})
		if err == nil && !ok {
			err = fmt.Errorf("store %s: pane %d of a key in window %v is missing", c.store.Name(), p, t.panes)
		}
		if err != nil {
			return t, err
		}
		if len(rest.panes) > 0 {
			rest.value = c.a.merge(rest.value, v)
		} else if rest.value, err = c.clone(v); err != nil {
			return t, err
		}
		rest.panes = append(rest.panes, p)
	}
	return rest, nil
}

// enter adds the panes to the totals whose end is in the window now.
func (c *panes[K, A]) enter(w *windowing[K, A], b span, cursor []byte, budget *int) ([]byte, bool, error) {
	next, done, err := c.walk(max(w.entered, b.to-w.w.size), b.to, cursor, budget, func(k paneKey, v A) error {
		t, ok, err := w.store.Get(k.key)
		if err != nil {
			return err
		}
		if !ok {
			t.value, err = c.clone(v)
		} else {
			t.value = c.a.merge(t.value, v)
		}
		if err != nil {
			return err
		}
		t.count++
		if c.a.inverse == nil {
			t.panes = append(slices.Clip(t.panes), k.pane)
		}
		return w.store.Put(k.key, t)
	})
	if done {
		w.entered = b.to
		err = w.save(c.t.marks)
	}
	return next, done, err
}

// totals is the source of a window's rows.
func (w *windowing[K, A]) totals(_ span, cursor []byte, yield func([]byte, A) bool) error {
	rows := w.store.All()
	if cursor != nil {
		rows = w.store.From(cursor)
	}
	for e, err := range rows {
		if err != nil {
			return err
		}
		if cursor != nil && bytes.Equal(e.Key, cursor) {
			continue
		}
		if !yield(e.Key, e.Value.value) {
			return nil
		}
	}
	return nil
}
