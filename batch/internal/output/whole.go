package output

import (
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/gather"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// Each calls f with all rows of each batch.
func Each[K, V any](name func() string, in gather.List[K, V], f func(wire.Span, []rows.Kept[K, V]) error) gather.Output {
	return whole(name, in, func(_ wire.Context, b wire.Span, list []rows.Kept[K, V]) error { return f(b, list) })
}

// whole is an output that takes the rows of a batch at once. If it fails and the error
// policy lets the task continue, it continues with the next batch.
func whole[K, V any](name func() string, in gather.List[K, V], emit func(wire.Context, wire.Span, []rows.Kept[K, V]) error) gather.Output {
	run := func(g *gather.Gatherer) closing.Run {
		return func(b wire.Span, _ []byte, budget *int) ([]byte, bool, error) {
			err := closing.Safely(func() error {
				list, err := in(g, b)
				if err != nil {
					return err
				}
				*budget -= len(list)
				return emit(g.Context(), b, list)
			})
			return nil, true, failed(name, b, err)
		}
	}
	return gather.Output{Name: name, Run: run}
}

// failed adds the output and the batch to an error.
func failed(name func() string, b wire.Span, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s of batch %v: %w", name(), b.End(), err)
}
