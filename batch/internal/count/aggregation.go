package count

import (
	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// Aggregation describes an aggregation: a store with a pane for each batch, and windows
// over the panes.
type Aggregation[K, A any] struct {
	Name    func() string // names the store; settled at Build
	Keys    serde.Serde[K]
	Values  serde.Serde[A]
	Merge   func(a, b A) A
	Inverse func(total, leaving A) A // may be nil

	// Always is the encoded key of the only row, if a batch without records has that row
	// too. Otherwise it is nil.
	Always []byte

	Rows    rows.Source[K, A] // the rows of a batch
	Windows []*Window[K, A]

	spec state.Spec[paneKey, A]
}

// Window describes a window of an aggregation: a store with the running total of each
// key.
type Window[K, A any] struct {
	Name func() string // names the store; settled at Build
	Size int64         // ms
	Rows rows.Source[K, A]

	spec state.Spec[[]byte, total[A]]
}

// Counted is an [Aggregation] of any types.
type Counted interface {
	// specs makes the specs of the stores. Names must be settled.
	specs() []processor.StoreSpec

	// open makes the instance for one counting task.
	open(ctx wire.Context, marks *closing.Watermarks) (instance, error)
}

// instance is an aggregation in a counting task.
type instance interface {
	name() string

	// merge adds a partial result. The store keeps key.
	merge(b wire.Span, key, payload []byte) error

	// steps returns the work on a complete batch.
	steps() []closing.Step

	// check returns an error for a window that does not fit to the batch at which the
	// closer is. at reports whether the closer is at the batch with an end.
	check(at func(end int64) bool) error
}
