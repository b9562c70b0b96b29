package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// host is the processor.Host of one node in one task. Its methods are those of
// processor.Context, which describes them.
type host[K2, V2 any] struct {
	base      base
	context   processor.Context[K2, V2] // of this host
	receivers []graph.Receiver[K2, V2]  // the children, in order
	keys      absence[K2]
	values    absence[V2]
	out       graph.Record[K2, V2]
	logger    *slog.Logger

	at        processor.Timestamp // of the call that is running, else noTime; see call.go
	foreign   func() bool         // see call.go
	forwarded bool                // during the current call of Process
	held      int64               // bytes that the processor says it holds
	failure   error               // a child's: the task has failed and forwards no more
	misuse    error               // mistakes of the user in calls of the context
}

// call runs a user function. at is the time of the call. If a child has failed, call
// returns the task's failure. Otherwise it returns the function's error, joined with
// mistakes in calls of the context.
func (h *host[K2, V2]) call(at processor.Timestamp, f func() error) (err error) {
	h.at, h.out.Earlier = at, false
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

// mistakes joins err with the mistakes in calls of the context, and clears them.
func (h *host[K2, V2]) mistakes(err error) error {
	err = errors.Join(h.misuse, err)
	h.misuse = nil
	return err
}

func (h *host[K2, V2]) misused(format string, args ...any) {
	h.misuse = errors.Join(h.misuse, fmt.Errorf(format, args...))
}

func (h *host[K2, V2]) Context() context.Context { return h.base.task.Context() }

func (h *host[K2, V2]) Forward(r processor.Record[K2, V2]) {
	if !h.within("Forward") || !h.prepare(r) {
		return
	}
	for _, child := range h.receivers {
		if h.failure = child.Receive(&h.out); h.failure != nil {
			return
		}
	}
}

func (h *host[K2, V2]) ForwardTo(child string, r processor.Record[K2, V2]) {
	if !h.within("ForwardTo") {
		return
	}
	i := slices.IndexFunc(h.base.node.Children, func(n *graph.Node) bool { return n.Name == child })
	if i < 0 {
		h.misused("ForwardTo: %q is not a child of the node: give the operator that name with topology.Named", child)
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
	case !h.within("Every"):
		return noSchedule{}
	case interval < time.Millisecond:
		h.misused("Every: the interval %v is shorter than a millisecond: use at least 1ms", interval)
		return noSchedule{}
	case p == nil:
		h.misused("Every: the punctuator is nil")
		return noSchedule{}
	case kind != processor.StreamTime && kind != processor.WallClock:
		h.misused("Every: %v is not a kind of time: use StreamTime or WallClock", kind)
		return noSchedule{}
	}
	s := h.base.task.Schedule(h.base.node, kind, start, interval, func(now time.Time) error {
		return h.call(processor.TimestampOf(now), func() error { return p(h.context, now) })
	})
	if h.foreign == nil {
		return s
	}
	return watchedSchedule{s, h.native}
}

// noSchedule stands for a schedule that could not be made.
type noSchedule struct{}

func (noSchedule) Cancel() {}

func (h *host[K2, V2]) Store(name string) (processor.Store, error) {
	if !h.within("Store") {
		return nil, processor.ErrOutsideCall
	}
	if !slices.Contains(h.base.node.Stores, name) && !slices.Contains(h.base.node.Globals, name) {
		return nil, fmt.Errorf("node %s was not given store %q: pass its spec, or its table, to topology.Process", h.base.node.Name, name)
	}
	s, err := h.base.task.Store(name)
	if err == nil && slices.Contains(h.base.node.LooksUp, name) {
		return store.OfTable{Instance: s}, nil
	}
	return s, err
}

func (h *host[K2, V2]) Task() processor.Task { return h.base.task.ID() }
func (h *host[K2, V2]) Logger() *slog.Logger { return h.logger }

// Metadata is also called by a store that was opened with the context, at each write.
func (h *host[K2, V2]) Metadata() processor.Metadata {
	if !h.within("Metadata, or a write to a store,") {
		return processor.Metadata{Partition: -1, Offset: -1}
	}
	return h.base.task.Metadata()
}

func (h *host[K2, V2]) StreamTime() processor.Timestamp {
	if !h.within("StreamTime") {
		return -1
	}
	return h.base.task.StreamTime()
}

func (h *host[K2, V2]) Now() time.Time {
	if !h.within("Now") {
		return time.Time{}
	}
	return h.base.task.Now()
}

func (h *host[K2, V2]) Commit() {
	if h.within("Commit") {
		h.base.task.RequestCommit()
	}
}

func (h *host[K2, V2]) OnCommitted(f func()) {
	if h.within("OnCommitted") {
		h.base.task.OnCommitted(f)
	}
}

func (h *host[K2, V2]) Drop(reason string) {
	if h.within("Drop") {
		h.base.drop(reason)
	}
}

func (h *host[K2, V2]) SetHeld(bytes int64) {
	if h.within("SetHeld") {
		h.base.task.Hold(bytes - h.held)
		h.held = bytes
	}
}

func (h *host[K2, V2]) Position(name string) (int64, bool) {
	if !h.within("Position") {
		return 0, false
	}
	p := h.position(name)
	return p.Value, p.Set
}

func (h *host[K2, V2]) SetPosition(name string, v int64) {
	if h.within("SetPosition") {
		p := h.position(name)
		p.Value, p.Set = v, true
	}
}

// position returns the cell of a number. In the task the number is called <node>/<name>.
func (h *host[K2, V2]) position(name string) *graph.Position {
	return h.base.task.Position(h.base.node.Name + "/" + name)
}
