package stamp

import (
	"errors"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
)

// Stamper is the processor of an Every. It says in which batch a record is, and combines
// records. At each commit it sends the partial results, and a marker for each boundary
// that has passed.
//
// It has no store: it must remember three numbers, which are committed with its offsets.
type Stamper[K, V any] struct {
	task
	root   *Node[K, V]
	pass   Receive[K, V]
	record processor.Record[K, V] // the current one

	// halfway says that the last record failed when some leaves had it already. failed
	// says which record that was.
	halfway bool
	failed  processor.Metadata
}

// New returns a stamper whose operators hang on root.
func New[K, V any](c Config, root *Node[K, V]) *Stamper[K, V] {
	return &Stamper[K, V]{task: task{Config: c}, root: root}
}

// Init takes up where the task was at its last commit.
func (s *Stamper[K, V]) Init(ctx wire.Context) error {
	s.pass = s.root.instance(&s.task)
	return s.start(ctx)
}

// Process puts a record into its batch.
func (s *Stamper[K, V]) Process(ctx wire.Context, r processor.Record[K, V]) error {
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

// Patient implements [processor.Patient]: nobody waits for a partial result. At the end
// of a batch the stamper asks for a commit.
func (s *Stamper[K, V]) Patient() bool { return true }

// Flush sends the partial results first, and then the markers: a marker says that all of
// them precede it.
func (s *Stamper[K, V]) Flush(wire.Context) error {
	var errs []error
	for _, l := range s.leaves {
		errs = append(errs, l.flush(s.forward))
	}
	s.tellHeld()
	s.mark()
	return errors.Join(errs...)
}
