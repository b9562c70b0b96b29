package count

import (
	"fmt"

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
			return fmt.Errorf("batch: Window %q: the program has run some batches without it, so its stored totals are incomplete: give it another name with .Named(...)", w.Name())
		}
	}
	return nil
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
