package runtime

import (
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/worker"
)

// watchdog names tasks whose user code runs for so long that the transaction may time
// out.
type watchdog struct {
	*life
	workers []*worker.Worker
	limit   time.Duration
}

// run looks at the workers until the run begins to close.
func (d *watchdog) run() {
	reported := make([]time.Time, len(d.workers))
	for backoff.Sleep(d.soft, min(d.limit/4, time.Second)) == nil {
		for i, w := range d.workers {
			t, since := w.Busy()
			if t == nil || time.Since(since) < d.limit || reported[i].Equal(since) {
				continue
			}
			reported[i] = since
			d.log.Warn("user code runs for longer than half the transaction timeout; if it does not return in time, the transaction is aborted and its records are processed again",
				"worker", i, "sub_topology", t.ID.SubTopology, "partition", t.ID.Partition, "running", time.Since(since), "stack", w.Stack())
		}
	}
}
