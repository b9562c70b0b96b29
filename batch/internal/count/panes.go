package count

import (
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/state"
)

// panes is an aggregation in a counting task.
type panes[K, A any] struct {
	*Aggregation[K, A]
	ctx       wire.Context
	store     state.KeyValueStore[paneKey, A]
	windows   []*windowing[K, A]
	longest   int64 // ms, of the windows; 0 without windows
	dropped   int64 // this instance has deleted the panes up to this end
	immutable bool
}

func (p *panes[K, A]) name() string { return p.Name() }

func (p *panes[K, A]) merge(b wire.Span, key, payload []byte) error {
	value, err := p.Values.Decode(payload)
	if err != nil {
		return fmt.Errorf("%s: decode a partial result: %w", p.name(), err)
	}
	k := paneKey{pane: b.To, key: key}
	old, ok, err := p.store.Get(k)
	if err != nil {
		return err
	}
	if ok {
		value = p.Merge(old, value)
	}
	return p.store.Put(k, value)
}

// check refuses a window that was not in the program for some batches: its totals have
// batches whose panes are gone.
func (p *panes[K, A]) check(at func(end int64) bool) error {
	for _, w := range p.windows {
		if w.entered >= 0 && !at(w.entered) {
			return fmt.Errorf("batch: Window %q: the program was without it for some batches, so its stored totals are of no use: give it another name with .Named(...)", w.Name())
		}
	}
	return nil
}

// steps brings the windows up to date first. The scans after that change no store, so
// they may be interrupted. Panes that no window needs go last.
func (p *panes[K, A]) steps() (steps []closing.Step) {
	for _, w := range p.windows {
		steps = append(steps,
			closing.Step{Name: w.Name() + "/leave", Durable: true, Run: func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
				return p.leave(w, b, cursor, budget)
			}},
			closing.Step{Name: w.Name() + "/enter", Durable: true, Run: func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
				return p.enter(w, b, cursor, budget)
			}})
	}
	steps = p.scans(steps, p.name(), &p.Rows, p.pane)
	for _, w := range p.windows {
		steps = p.scans(steps, w.Name(), &w.Rows, w.totals)
	}
	return append(steps, closing.Step{Name: p.name() + "/drop", Durable: true, Run: p.drop})
}

// drop deletes the panes that no window needs any more.
func (p *panes[K, A]) drop(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	limit := b.To - p.longest
	next, done, err := p.walk(p.dropped, limit, cursor, budget, func(k paneKey, _ A) error {
		_, _, err := p.store.Delete(k)
		return err
	})
	if done {
		p.dropped = max(p.dropped, limit)
	}
	return next, done, err
}

// clone returns a copy of a value that shares no memory with it.
func (p *panes[K, A]) clone(v A) (A, error) {
	if p.immutable {
		return v, nil
	}
	data, err := p.Values.Append(nil, v)
	if err != nil {
		return v, err
	}
	return p.Values.Decode(data)
}
