package batch

import (
	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
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
	merge(b wire.Span, key, payload []byte) error
	// steps are done when a batch is complete.
	steps() []closing.Step
	// check refuses what does not fit to where c goes on.
	check(c *closing.Closer) error
}

// aggregation is the plan of an aggregation: a store with a pane for each batch, and
// windows over the panes.
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

func (a *aggregation[K, A]) header() *header { return a.h }

func (a *aggregation[K, A]) settle() []processor.StoreSpec {
	a.spec = state.KeyValue(a.h.fullName(), serde.Serde[paneKey](paneKeySerde{serde.FormatName(a.keys)}), a.values)
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
