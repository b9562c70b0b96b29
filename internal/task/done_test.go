package task

import (
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
)

// doneShell counts the records that come back from a task. Its node asks the task for the
// input record if lend is set.
func doneShell(t *testing.T, lend *bool) (s *shell, given *int) {
	var b builder
	b.process("node", nil, func(*fakeProcessor, *rec) error {
		if *lend {
			s.task.Input()
		}
		return nil
	}, b.source(false, "in"))
	s, given = newShell(t, b.graph(), "in"), new(int)
	s.cfg.Done = func(records []graph.Input) {
		*given += len(records)
		clear(records)
	}
	s.start()
	return s, given
}

// A slice of records comes back when its last record has been processed, not before.
func TestProcessedRecordsComeBack(t *testing.T) {
	t.Parallel()
	s, given := doneShell(t, new(bool))
	s.add("in", graph.Input{Value: []byte("x")}, graph.Input{Value: []byte("y")})
	if _, err := s.task.Process(s.cfg.Now, 1); err != nil || *given != 0 {
		t.Fatalf("%d records came back after the first of two: %v", *given, err)
	}
	s.run()
	if *given != 2 {
		t.Fatalf("%d of 2 records came back", *given)
	}
}

// A record to which somebody may have a pointer does not come back. Such a pointer is
// valid until the end of the transaction.
func TestLentRecordsDoNotComeBack(t *testing.T) {
	t.Parallel()
	lend := true
	s, given := doneShell(t, &lend)
	s.add("in", graph.Input{Value: []byte("x")})
	s.run()
	if *given != 0 {
		t.Fatal("a record came back although somebody may have a pointer to it")
	}
	s.commit()
	lend = false
	if err := s.task.Add("in", 0, []graph.Input{{Topic: "in", Offset: 1, Value: []byte("y")}}, 0); err != nil {
		t.Fatal(err)
	}
	s.run()
	if *given != 1 {
		t.Fatalf("%d records came back after the commit, want 1", *given)
	}
}
