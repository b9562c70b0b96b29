package runtime

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// counters count what workers do.
type counters struct {
	records, commits, aborts, dropped, errors atomic.Int64
}

// host receives the reports of workers. It implements worker.Host. Nothing that it calls
// waits for a worker.
type host struct {
	*life
	tasks    *tasks
	starter  *starter
	phase    *phase
	guard    *stateGuard
	events   Events
	counters *counters
}

// Restore implements worker.Host.
func (h *host) Restore(tasks []*worker.Task) {
	back := h.tasks.takeBack(tasks)
	h.phase.report()
	h.starter.start(back)
}

// Dropped implements worker.Host.
func (h *host) Dropped(t *worker.Task) { h.tasks.finishDropped(t) }

// Fail implements worker.Host.
func (h *host) Fail(err error) { h.fail(explainFailure(err)) }

// explainFailure adds advice to failures of workers for which Kafka only has a code.
func explainFailure(err error) error {
	if errors.Is(err, kerr.OffsetMetadataTooLarge) {
		return fmt.Errorf("the times of the topology's operators do not fit into the metadata of an offset: raise the broker's offset.metadata.max.bytes: %w", err)
	}
	return err
}

// Commit implements worker.Host.
func (h *host) Commit(c worker.Commit) {
	if c.Err == nil {
		h.counters.commits.Add(1)
		h.counters.records.Add(c.Records)
		h.tasks.committed(c.Worker)
	} else {
		h.counters.aborts.Add(1)
	}
	h.events.Committed(c)
}

// Observer implements worker.Host.
func (h *host) Observer(t *worker.Task) task.Observer { return observer{h, t.Info} }

// observer is told about the decisions of one task.
type observer struct {
	host *host
	id   processor.Task
}

// Dropped implements task.Observer.
func (o observer) Dropped(node, reason string, record processor.Metadata) {
	o.host.counters.dropped.Add(1)
	o.host.events.Dropped(Dropped{Task: o.id, Node: node, Reason: reason, Record: record})
}

// BufferFull implements task.Observer.
func (o observer) BufferFull(node string, rows int64) {
	o.host.events.BufferFull(BufferFull{Task: o.id, Node: node, Rows: rows})
}

// Converted implements task.Observer.
func (o observer) Converted(store string, format uint8, rows int64, now bool) {
	o.host.guard.converted(store, o.id.Partition, int(format))
	if now {
		o.host.log.Info("all rows of a store have the newest format of its values", "store", store, "partition", o.id.Partition, "format", format, "converted", rows)
		o.host.events.Migrated(Migrated{Task: o.id, Store: store, Format: int(format), Rows: rows})
	}
}

// Errored implements task.Observer.
func (o observer) Errored(err *processor.Error, action processor.Action) {
	o.host.counters.errors.Add(1)
	o.host.events.Errored(err, action)
}
