package batch

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
)

// stamper is the processor of an Every: it says in which batch a record is, and combines.
// At each commit it sends the partial results, and a marker for each boundary that was
// passed. It has no store: what it must remember are three numbers, which are committed
// with its offsets.
type stamper[K, V any] struct {
	stamps
	root   *node[K, V]
	pass   receive[K, V]
	record processor.Record[K, V] // that is being processed
}

// stamps is the part of a stamper that does not depend on the type of its records.
type stamps struct {
	e      *every
	ctx    wire.Context
	clock  clock
	begun  bool
	batch  wire.Span // of the current record
	leaves []leaf
	held   int64       // bytes, of the leaves
	passed []wire.Span // since the last flush

	// The record that failed last, if its failure came when some leaves had it already.
	halfway bool
	failed  processor.Metadata
}

// Names of the committed numbers.
const (
	positionOpen  = "open"  // clock.open
	positionUsed  = "used"  // clock.used
	positionShape = "shape" // a shape
)

// shape is what must fit to what is committed: the interval that the end of the open
// batch follows from, whether batches are by record time, and the number of tasks.
type shape struct {
	by           int64
	byRecordTime bool
	tasks        int32
}

// taskBits is enough for the number of partitions of a topic.
const taskBits = 20

func (s shape) encode() int64 {
	v := s.by<<(taskBits+1) | int64(s.tasks)
	if s.byRecordTime {
		v |= 1 << taskBits
	}
	return v
}

func decodeShape(v int64) shape {
	return shape{by: v >> (taskBits + 1), byRecordTime: v>>taskBits&1 == 1, tasks: int32(v & (1<<taskBits - 1))}
}

func (s *stamper[K, V]) Init(ctx wire.Context) error {
	s.pass = s.root.instance(&s.stamps)
	return s.start(ctx)
}

func (s *stamps) start(ctx wire.Context) error {
	s.ctx = ctx
	s.clock.interval = s.e.interval
	s.clock.last = ctx.Now()
	open, ok := ctx.Position(positionOpen)
	if ok {
		if err := s.resume(open); err != nil {
			return err
		}
	}
	if s.e.byRecordTime {
		return nil
	}
	if !ok {
		s.begin(ctx.Now().UnixMilli())
	} else {
		s.close(s.clock.arrived(ctx.Now(), true))
	}
	interval := time.Duration(s.e.interval) * time.Millisecond
	ctx.EveryFrom(time.UnixMilli(s.clock.end), interval, processor.WallClock, s.tick)
	if s.clock.end%s.clock.interval != 0 { // the open batch ends as another interval wants it
		ctx.EveryFrom(time.UnixMilli(0), interval, processor.WallClock, s.tick)
	}
	once(ctx, func(wire.Context) error { return nil }) // for the commit that says what has passed
	return nil
}

// once calls f soon, in a punctuator.
func once(ctx wire.Context, f func(wire.Context) error) {
	var schedule processor.Schedule
	schedule = ctx.Every(time.Millisecond, processor.WallClock, func(ctx wire.Context, _ time.Time) error {
		schedule.Cancel()
		return f(ctx)
	})
}

// begin starts the first batch of a task that has never run.
func (s *stamps) begin(t int64) {
	s.passed, s.begun = append(s.passed, s.clock.begin(t)), true
}

// resume takes up where the task was at its last commit.
func (s *stamps) resume(open int64) error {
	encoded, _ := s.ctx.Position(positionShape)
	used, _ := s.ctx.Position(positionUsed)
	was := decodeShape(encoded)
	if err := s.fits(was); err != nil {
		return fmt.Errorf("batch: Every %q: %w", s.e.name, err)
	}
	s.clock.resume(open, was.by, used)
	s.begun = true
	return nil
}

// fits refuses changes after which what is open could not be completed.
func (s *stamps) fits(was shape) error {
	switch tasks := s.ctx.Task().Partitions; {
	case was.tasks != tasks:
		return fmt.Errorf("the number of its tasks has changed from %d to %d: the number of partitions of a topic that feeds it must not change while batches are open; "+
			"start under another application ID, or reset the application", was.tasks, tasks)
	case was.byRecordTime != s.e.byRecordTime:
		return errors.New("its batches were by arrival and are by record time now, or the other way round: give it another name")
	case was.byRecordTime && was.by != s.e.interval:
		return fmt.Errorf("the interval has changed from %d ms to %d ms: with batches by record time several are open at once, and it must not change; give it another name",
			was.by, s.e.interval)
	}
	return nil
}

// tick is the punctuator at the boundaries.
func (s *stamps) tick(wire.Context, time.Time) error {
	s.close(s.clock.arrived(s.ctx.Now(), false))
	return nil
}

// close takes what has been passed, to be told at the next commit.
func (s *stamps) close(passed []wire.Span) {
	if passed == nil {
		return
	}
	s.passed = append(s.passed, passed...)
	s.ctx.Commit()
	for _, p := range passed {
		if !p.Live {
			s.ctx.Logger().Warn("batches were not open in this task", "every", s.e.name, "from", time.UnixMilli(p.From).UTC(), "to", time.UnixMilli(p.To).UTC())
		}
	}
}

// late is the reason for dropping a record.
const late = "the batch of its timestamp is closed"

// stamp says which batch a record is in.
func (s *stamps) stamp(at processor.Timestamp) (ok bool) {
	if !s.e.byRecordTime {
		s.close(s.clock.arrived(s.ctx.Now(), false))
		s.batch = s.clock.take()
		return true
	}
	t := int64(at)
	if !s.begun {
		s.begin(t - s.e.grace)
	} else if passed := t - s.e.grace; passed >= s.clock.end {
		s.close(s.clock.pass(passed, s.clock.far(passed)))
	}
	if s.batch, ok = s.clock.takeAt(t); !ok {
		s.ctx.Drop(late)
	}
	return ok
}

func (s *stamper[K, V]) Process(ctx wire.Context, r processor.Record[K, V]) error {
	if !s.stamp(r.Timestamp) {
		return nil
	}
	again := s.halfway && s.failed == ctx.Metadata()
	s.halfway = false
	for _, l := range s.leaves {
		l.restage(!again)
	}
	s.record = r
	if err := s.pass(&s.record); err != nil {
		return err
	}
	s.halfway, s.failed = true, ctx.Metadata()
	for _, l := range s.leaves {
		if err := l.apply(); err != nil {
			return err
		}
	}
	s.halfway = false
	s.tellHeld()
	return nil
}

// tellHeld has what the combiners hold counted, so that very many distinct values lead to
// an early commit.
func (s *stamps) tellHeld() {
	var held int64
	for _, l := range s.leaves {
		held += l.held()
	}
	if held != s.held {
		s.held = held
		s.ctx.SetHeld(held)
	}
}

// Flush sends partial results first: a marker says that all of them precede it.
func (s *stamper[K, V]) Flush(ctx wire.Context) error {
	var errs []error
	for _, l := range s.leaves {
		errs = append(errs, l.flush(s.forward))
	}
	s.tellHeld()
	s.mark()
	return errors.Join(errs...)
}

func (s *stamps) forward(key []byte, m wire.Message) {
	s.ctx.Forward(wire.Record{Key: key, Value: m, Timestamp: processor.TimestampOf(s.ctx.Now())})
}

func (s *stamps) mark() {
	task := s.ctx.Task()
	for _, p := range s.passed {
		if p.To > p.From { // not at the very beginning of time
			s.forward([]byte(s.e.name), wire.Message{Kind: wire.Marker, Name: s.e.name, Span: p, Task: task.Partition, Of: task.Partitions})
		}
	}
	s.passed = nil
	if !s.begun {
		return
	}
	s.ctx.SetPosition(positionOpen, s.clock.open)
	s.ctx.SetPosition(positionUsed, s.clock.used)
	s.ctx.SetPosition(positionShape, shape{s.clock.by, s.e.byRecordTime, task.Partitions}.encode())
}
