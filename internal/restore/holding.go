package restore

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Holding says what a partition holds at or beyond a position.
type Holding struct {
	// Records says that there is a committed record, or that there may have been one: the
	// log begins beyond the position, so records were deleted or trimmed.
	Records bool
	// Foreign says that the position is not one of this log: it lies beyond the log's
	// end, or the topic was deleted and created again.
	Foreign bool
}

// errFound ends the reading of a partition of which enough is known.
var errFound = errors.New("found a record")

// probeRecords is how many records of a partition are read at once to find the first.
const probeRecords = 16

// Holds says for each partition what it holds at or beyond From, in the order of parts.
// It reads no further than the first committed record. A From below 0 is offset 0. The
// high watermark alone proves nothing: an aborted transaction leaves one too. So, like
// Restore, it waits for open transactions to end.
func (r *Restorer) Holds(ctx context.Context, parts []Partition) ([]Holding, error) {
	probe := *r
	probe.cfg.BatchRecords = probeRecords
	held := make([]Holding, len(parts))
	asked := make([]Partition, len(parts))
	for i, p := range parts {
		asked[i] = p
		asked[i].From = max(p.From, 0)
	}
	sink := func(p int, records []*kgo.Record, _ int64) error {
		if len(records) == 0 {
			return nil
		}
		held[p].Records = true
		return errFound
	}
	var failed []error
	done := func(p int, _ int64, err error) {
		var outside *OutOfRangeError
		switch {
		case err == nil, errors.Is(err, errFound):
		case errors.Is(err, ErrRecreated):
			held[p].Foreign = true
		case errors.As(err, &outside):
			held[p].Foreign = outside.From > outside.End
			held[p].Records = !held[p].Foreign
		default:
			failed = append(failed, err)
		}
	}
	err := probe.Restore(ctx, asked, sink, done, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	if err != nil && !onlyExpected(err) {
		return nil, err
	}
	return held, nil
}

// onlyExpected reports whether all that Restore has returned was seen by done: it joins
// the errors of partitions, and returns any other error alone.
func onlyExpected(err error) bool {
	return errors.Is(err, errFound) || errors.Is(err, ErrRecreated) || errors.Is(err, ErrOutOfRange)
}
