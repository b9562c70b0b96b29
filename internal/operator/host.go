package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// host is the processor.Host of one node in one task. Its methods are those of
// processor.Context, which describes them.
type host[K2, V2 any] struct {
	base
	context   processor.Context[K2, V2] // of this host
	receivers []graph.Receiver[K2, V2]  // the children, in order
	keys      absence[K2]
	values    absence[V2]
	out       graph.Record[K2, V2]
	logger    *slog.Logger

	at        processor.Timestamp // of the running call; else noTime
	forwarded bool                // during the current call of Process
	held      int64               // bytes that the processor says it holds
	failure   error               // of a child: the task has failed, nothing more is forwarded
	misuse    error               // mistakes of the user in calls of the context
}

// noTime means that no call of the processor is running.
const noTime = math.MinInt64

// timeBetweenRecords is the time of Init and Flush: stream time or, before the first record,
// the wall clock.
func timeBetweenRecords(t graph.Task) processor.Timestamp {
	if at := t.StreamTime(); at >= 0 {
		return at
	}
	return max(processor.TimestampOf(t.Now()), 0)
}

// call runs a user function. at is the time of the call. It returns the task's failure if a child has failed, else the
// function's error joined with its mistakes in calls of the context.
func (h *host[K2, V2]) call(at processor.Timestamp, f func() error) (err error) {
	h.at = at
	err = guarded(f)
	if h.at = noTime; h.failure != nil {
		return h.failure
	}
	return h.mistakes(err)
}

func guarded(f func() error) (err error) {
	defer graph.Guard(&err)
	return f()
}

// mistakes joins the user's mistakes in calls of the context with err, and forgets them.
func (h *host[K2, V2]) mistakes(err error) error {
	err = errors.Join(h.misuse, err)
	h.misuse = nil
	return err
}

func (h *host[K2, V2]) misused(format string, args ...any) {
	h.misuse = errors.Join(h.misuse, fmt.Errorf(format, args...))
}

func (h *host[K2, V2]) Context() context.Context { return h.task.Context() }

func (h *host[K2, V2]) Forward(r processor.Record[K2, V2]) {
	if !h.prepare(r) {
		return
	}
	for _, child := range h.receivers {
		if h.failure = child.Receive(&h.out); h.failure != nil {
			return
		}
	}
}

func (h *host[K2, V2]) ForwardTo(child string, r processor.Record[K2, V2]) {
	i := slices.IndexFunc(h.node.Children, func(n *graph.Node) bool { return n.Name == child })
	if i < 0 {
		h.misused("ForwardTo: %q is no child of the node; give the operator that name with topology.Named", child)
		return
	}
	if h.prepare(r) {
		h.failure = h.receivers[i].Receive(&h.out)
	}
}

// prepare sets out to the record, and reports whether the record may be forwarded.
func (h *host[K2, V2]) prepare(r processor.Record[K2, V2]) bool {
	if h.failure != nil {
		return false
	}
	if r.Timestamp = timestampOr(r.Timestamp, h.at); r.Timestamp < 0 {
		h.misused("Forward: the timestamp %d is negative", int64(r.Timestamp))
		return false
	}
	h.forwarded = true
	h.out.Record = r
	normalize(&h.out.Record, h.keys, h.values)
	return true
}

func (h *host[K2, V2]) EveryFrom(start time.Time, interval time.Duration, kind processor.TimeKind, p processor.Punctuator[K2, V2]) processor.Schedule {
	switch {
	case interval < time.Millisecond:
		h.misused("Every: the interval %v is shorter than a millisecond", interval)
		return noSchedule{}
	case p == nil:
		h.misused("Every: the punctuator is nil")
		return noSchedule{}
	case kind != processor.StreamTime && kind != processor.WallClock:
		h.misused("Every: there is no %v", kind)
		return noSchedule{}
	}
	return h.task.Schedule(h.node, kind, start, interval, func(now time.Time) error {
		return h.call(processor.TimestampOf(now), func() error { return p(h.context, now) })
	})
}

// noSchedule stands for a schedule that could not be made.
type noSchedule struct{}

func (noSchedule) Cancel() {}

func (h *host[K2, V2]) Store(name string) (processor.Store, error) {
	if !slices.Contains(h.node.Stores, name) {
		return nil, fmt.Errorf("node %s was not given store %q: pass its spec to topology.Process", h.node.Name, name)
	}
	return h.task.Store(name)
}

func (h *host[K2, V2]) Metadata() processor.Metadata    { return h.task.Metadata() }
func (h *host[K2, V2]) Task() processor.Task            { return h.task.ID() }
func (h *host[K2, V2]) StreamTime() processor.Timestamp { return h.task.StreamTime() }
func (h *host[K2, V2]) Now() time.Time                  { return h.task.Now() }
func (h *host[K2, V2]) Commit()                         { h.task.RequestCommit() }
func (h *host[K2, V2]) Logger() *slog.Logger            { return h.logger }
func (h *host[K2, V2]) OnCommitted(f func())            { h.task.OnCommitted(f) }
func (h *host[K2, V2]) Drop(reason string)              { h.drop(reason) }

func (h *host[K2, V2]) SetHeld(bytes int64) {
	h.task.Hold(bytes - h.held)
	h.held = bytes
}

func (h *host[K2, V2]) Position(name string) (int64, bool) {
	p := h.position(name)
	return p.Value, p.Set
}

func (h *host[K2, V2]) SetPosition(name string, v int64) {
	p := h.position(name)
	p.Value, p.Set = v, true
}

// position returns the cell of a number. In the task the number is called <node>/<name>.
func (h *host[K2, V2]) position(name string) *graph.Position {
	return h.task.Position(h.node.Name + "/" + name)
}
