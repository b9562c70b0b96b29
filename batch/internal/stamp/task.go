package stamp

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
)

// Config is how an Every cuts batches.
type Config struct {
	Every        string // its name
	Interval     int64  // ms
	ByRecordTime bool
	Grace        int64 // ms, by record time
}

// task is the part of a stamper that does not depend on the type of its records.
type task struct {
	Config
	ctx    wire.Context
	clock  clock
	begun  bool
	batch  wire.Span // of the current record
	leaves []leaf
	held   int64       // bytes, of the leaves
	passed []wire.Span // since the last flush
}

// leaf is a combiner as the stamper sees it. A record is first staged in all leaves. It
// is applied when all user functions on its way have succeeded.
type leaf interface {
	// restage forgets the staged records. anew says that the next record is another one
	// than the last.
	restage(anew bool)
	apply() error
	// held estimates the bytes that flush will set free.
	held() int64
	flush(send func(key []byte, m wire.Message)) error
}

// Names of the committed numbers.
const (
	positionOpen  = "open"  // clock.open
	positionUsed  = "used"  // clock.used
	positionShape = "shape" // a shape
)

func (t *task) start(ctx wire.Context) error {
	t.ctx = ctx
	t.clock.interval = t.Interval
	t.clock.last = ctx.Now()
	open, ok := ctx.Position(positionOpen)
	if ok {
		if err := t.resume(open); err != nil {
			return err
		}
	}
	if t.ByRecordTime {
		return nil
	}
	if !ok {
		t.begin(ctx.Now().UnixMilli())
	} else {
		t.close(t.clock.arrived(ctx.Now(), true))
	}
	t.schedule()
	return nil
}

// schedule sets a punctuator at each boundary.
func (t *task) schedule() {
	interval := time.Duration(t.Interval) * time.Millisecond
	t.ctx.EveryFrom(time.UnixMilli(t.clock.end), interval, processor.WallClock, t.tick)
	if t.clock.end%t.clock.interval != 0 { // the open batch has another interval
		t.ctx.EveryFrom(time.UnixMilli(0), interval, processor.WallClock, t.tick)
	}
	// The commit after this sends the spans that have passed.
	wire.Once(t.ctx, func(wire.Context) error { return nil })
}

// begin starts the first batch of a task that has never run.
func (t *task) begin(at int64) {
	t.passed, t.begun = append(t.passed, t.clock.begin(at)), true
}

// resume takes up where the task was at its last commit.
func (t *task) resume(open int64) error {
	encoded, _ := t.ctx.Position(positionShape)
	used, _ := t.ctx.Position(positionUsed)
	was := decodeShape(encoded)
	if err := was.fits(t.shape(t.Interval)); err != nil {
		return fmt.Errorf("batch: Every %q: %w", t.Every, err)
	}
	t.clock.resume(open, was.by, used)
	t.begun = true
	return nil
}

// tick is the punctuator at the boundaries.
func (t *task) tick(wire.Context, time.Time) error {
	t.close(t.clock.arrived(t.ctx.Now(), false))
	return nil
}

// close keeps the spans that have passed, and asks for the commit that sends them.
func (t *task) close(passed []wire.Span) {
	if passed == nil {
		return
	}
	t.passed = append(t.passed, passed...)
	t.ctx.Commit()
	for _, p := range passed {
		if !p.Live {
			t.ctx.Logger().Warn("batches were not open in this task", "every", t.Every, "from", p.Start(), "to", p.End())
		}
	}
}

// late is the reason for dropping a record.
const late = "the batch of its timestamp is closed"

// stamp sets the batch of the current record. It drops a record whose batch is closed.
func (t *task) stamp(at processor.Timestamp) (ok bool) {
	if !t.ByRecordTime {
		t.close(t.clock.arrived(t.ctx.Now(), false))
		t.batch = t.clock.take()
		return true
	}
	// The last interval that time has is cut off, and has no end. Its records belong to
	// the last whole batch.
	at = min(at, processor.Timestamp(floor(math.MaxInt64, t.Interval)-1))
	passed := int64(at) - t.Grace
	if !t.begun {
		t.begin(passed)
	} else if passed >= t.clock.end {
		t.close(t.clock.pass(passed, t.clock.far(passed)))
	}
	if t.batch, ok = t.clock.takeAt(int64(at)); !ok {
		t.ctx.Drop(late)
	}
	return ok
}

// tellHeld reports the memory of the combiners, so that very many distinct values lead to
// an early commit.
func (t *task) tellHeld() {
	var held int64
	for _, l := range t.leaves {
		held += l.held()
	}
	if held != t.held {
		t.held = held
		t.ctx.SetHeld(held)
	}
}

func (t *task) forward(key []byte, m wire.Message) {
	t.ctx.Forward(wire.Record{Key: key, Value: m, Timestamp: processor.TimestampOf(t.ctx.Now())})
}

// mark sends the markers, and sets the numbers that are committed with them.
func (t *task) mark() {
	id := t.ctx.Task()
	for _, p := range t.passed {
		if p.To > p.From { // not at the very beginning of time
			t.forward([]byte(t.Every), wire.Message{Kind: wire.Marker, Name: t.Every, Span: p, Task: id.Partition, Of: id.Partitions})
		}
	}
	t.passed = nil
	if !t.begun {
		return
	}
	t.ctx.SetPosition(positionOpen, t.clock.open)
	t.ctx.SetPosition(positionUsed, t.clock.used)
	t.ctx.SetPosition(positionShape, t.shape(t.clock.by).encode())
}

// shape returns what is committed, with the interval from which the end of the open batch
// follows.
func (t *task) shape(by int64) shape {
	return shape{by: by, byRecordTime: t.ByRecordTime, tasks: t.ctx.Task().Partitions}
}
