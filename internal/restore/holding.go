package restore

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Holding describes what a partition holds at or after a position.
type Holding struct {
	// Records is true if there is a committed record. It is also true if there may have
	// been one: the log begins after the position, so records were deleted or trimmed.
	Records bool
	// Foreign is true if the position does not belong to this log: it is beyond the log's
	// end, or the topic was deleted and created again.
	Foreign bool
}

// errFound ends the reading of a partition once enough is known.
var errFound = errors.New("found a record")

// probeRecords is the number of records that are read at once to find the first one.
const probeRecords = 16

// Holds returns for each partition, in the order of parts, what it holds at or after
// From. It reads up to the first committed record, and no further. A From below 0 means
// offset 0.
//
// Holds must read, because the high watermark alone proves nothing: an aborted
// transaction moves it too. Like Restore, Holds therefore waits for open transactions to
// end.
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

// onlyExpected reports whether done has already handled every error of Restore. Restore
// joins the errors of partitions; it returns any other error alone.
func onlyExpected(err error) bool {
	return errors.Is(err, errFound) || errors.Is(err, ErrRecreated) || errors.Is(err, ErrOutOfRange)
}
