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

// nodeContext is the processor.Context of one node in one task.
type nodeContext[K2, V2 any] struct {
	base
	receivers []graph.Receiver[K2, V2] // the children, in order
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
func (c *nodeContext[K2, V2]) call(at processor.Timestamp, f func() error) (err error) {
	c.at = at
	err = guarded(f)
	if c.at = noTime; c.failure != nil {
		return c.failure
	}
	return c.mistakes(err)
}

func guarded(f func() error) (err error) {
	defer graph.Guard(&err)
	return f()
}

// mistakes joins the user's mistakes in calls of the context with err, and forgets them.
func (c *nodeContext[K2, V2]) mistakes(err error) error {
	err = errors.Join(c.misuse, err)
	c.misuse = nil
	return err
}

func (c *nodeContext[K2, V2]) misused(format string, args ...any) {
	c.misuse = errors.Join(c.misuse, fmt.Errorf(format, args...))
}

func (c *nodeContext[K2, V2]) Context() context.Context { return c.task.Context() }

func (c *nodeContext[K2, V2]) Forward(r processor.Record[K2, V2]) {
	if !c.prepare(r) {
		return
	}
	for _, child := range c.receivers {
		if c.failure = child.Receive(&c.out); c.failure != nil {
			return
		}
	}
}

func (c *nodeContext[K2, V2]) ForwardTo(child string, r processor.Record[K2, V2]) {
	i := slices.IndexFunc(c.node.Children, func(n *graph.Node) bool { return n.Name == child })
	if i < 0 {
		c.misused("ForwardTo: %q is no child of the node; give the operator that name with topology.Named", child)
		return
	}
	if c.prepare(r) {
		c.failure = c.receivers[i].Receive(&c.out)
	}
}

// prepare sets out to the record, and reports whether the record may be forwarded.
func (c *nodeContext[K2, V2]) prepare(r processor.Record[K2, V2]) bool {
	if c.failure != nil {
		return false
	}
	if r.Timestamp = timestampOr(r.Timestamp, c.at); r.Timestamp < 0 {
		c.misused("Forward: the timestamp %d is negative", int64(r.Timestamp))
		return false
	}
	c.forwarded = true
	c.out.Record = r
	normalize(&c.out.Record, c.keys, c.values)
	return true
}

func (c *nodeContext[K2, V2]) Every(interval time.Duration, kind processor.TimeKind, p processor.Punctuator[K2, V2]) processor.Schedule {
	return c.EveryFrom(time.Time{}, interval, kind, p)
}

func (c *nodeContext[K2, V2]) EveryFrom(start time.Time, interval time.Duration, kind processor.TimeKind, p processor.Punctuator[K2, V2]) processor.Schedule {
	switch {
	case interval < time.Millisecond:
		c.misused("Every: the interval %v is shorter than a millisecond", interval)
		return noSchedule{}
	case p == nil:
		c.misused("Every: the punctuator is nil")
		return noSchedule{}
	case kind != processor.StreamTime && kind != processor.WallClock:
		c.misused("Every: there is no %v", kind)
		return noSchedule{}
	}
	return c.task.Schedule(c.node, kind, start, interval, func(now time.Time) error {
		return c.call(processor.TimestampOf(now), func() error { return p(c, now) })
	})
}

// noSchedule stands for a schedule that could not be made.
type noSchedule struct{}

func (noSchedule) Cancel() {}

func (c *nodeContext[K2, V2]) Store(name string) (processor.Store, error) {
	if !slices.Contains(c.node.Stores, name) {
		return nil, fmt.Errorf("node %s was not given store %q: pass its spec to topology.Process", c.node.Name, name)
	}
	return c.task.Store(name)
}

func (c *nodeContext[K2, V2]) Metadata() processor.Metadata    { return c.task.Metadata() }
func (c *nodeContext[K2, V2]) Task() processor.Task            { return c.task.ID() }
func (c *nodeContext[K2, V2]) StreamTime() processor.Timestamp { return c.task.StreamTime() }
func (c *nodeContext[K2, V2]) Now() time.Time                  { return c.task.Now() }
func (c *nodeContext[K2, V2]) Commit()                         { c.task.RequestCommit() }
func (c *nodeContext[K2, V2]) Logger() *slog.Logger            { return c.logger }
func (c *nodeContext[K2, V2]) OnCommitted(f func())            { c.task.OnCommitted(f) }
func (c *nodeContext[K2, V2]) Drop(reason string)              { c.drop(reason) }

func (c *nodeContext[K2, V2]) SetHeld(bytes int64) {
	c.task.Hold(bytes - c.held)
	c.held = bytes
}

func (c *nodeContext[K2, V2]) Position(name string) (int64, bool) {
	p := c.position(name)
	return p.Value, p.Set
}

func (c *nodeContext[K2, V2]) SetPosition(name string, v int64) {
	p := c.position(name)
	p.Value, p.Set = v, true
}

// position returns the cell of a number. In the task the number is called <node>/<name>.
func (c *nodeContext[K2, V2]) position(name string) *graph.Position {
	return c.task.Position(c.node.Name + "/" + name)
}
