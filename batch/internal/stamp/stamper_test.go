package stamp

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// fakeHost is the host of a stamping task. The test sets its clock. It keeps the
// forwarded records.
type fakeHost struct {
	processor.Host[[]byte, wire.Message] // nil: the methods that a stamper does not use

	now       time.Time
	task      processor.Task
	offset    int64
	positions map[string]int64
	forwarded []wire.Message
	keys      []string
	commits   int
	held      int64
}

type noSchedule struct{}

func (noSchedule) Cancel() {}

func (h *fakeHost) host() wire.Context { return processor.NewContext[[]byte, wire.Message](h) }

func (h *fakeHost) Now() time.Time       { return h.now }
func (h *fakeHost) Task() processor.Task { return h.task }
func (h *fakeHost) Commit()              { h.commits++ }
func (h *fakeHost) Drop(string)          {}
func (h *fakeHost) SetHeld(bytes int64)  { h.held = bytes }
func (h *fakeHost) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }
func (h *fakeHost) SetPosition(name string, v int64) {
	h.positions[name] = v
}

func (h *fakeHost) Position(name string) (int64, bool) {
	v, ok := h.positions[name]
	return v, ok
}

func (h *fakeHost) Metadata() processor.Metadata {
	return processor.Metadata{Topic: "in", Offset: h.offset}
}

func (h *fakeHost) EveryFrom(time.Time, time.Duration, processor.TimeKind, processor.Punctuator[[]byte, wire.Message]) processor.Schedule {
	return noSchedule{}
}

func (h *fakeHost) Forward(r wire.Record) {
	m := r.Value
	m.Payload = slices.Clone(m.Payload)
	h.forwarded, h.keys = append(h.forwarded, m), append(h.keys, string(r.Key))
}

// take returns the records that were forwarded since the last call, as text.
func (h *fakeHost) take() (out []string) {
	for i, m := range h.forwarded {
		switch {
		case m.Kind == wire.Partial:
			n, _ := serde.Int64.Decode(m.Payload)
			out = append(out, fmt.Sprintf("%s %s=%d in %d", m.Name, h.keys[i], n, m.To))
		case m.Live:
			out = append(out, fmt.Sprintf("live %d-%d", m.From, m.To))
		default:
			out = append(out, fmt.Sprintf("gap %d-%d", m.From, m.To))
		}
	}
	h.forwarded, h.keys = nil, nil
	return out
}

// stamping is a stamper of strings that are counted by value, with an interval in ms.
type stamping struct {
	*Stamper[string, string]
	*fakeHost
	t *testing.T
}

func (s *stamping) start(now int64, interval time.Duration, opts ...func(*Config)) error {
	c := Config{Every: "every", Interval: interval.Milliseconds()}
	for _, opt := range opts {
		opt(&c)
	}
	root := &Node[string, string]{}
	countValues(root, "v")
	s.Stamper = New(c, root)
	s.now = at(now)
	s.forwarded, s.keys = nil, nil
	return s.Init(s.host())
}

// countValues counts the records of a node by value.
func countValues(n *Node[string, string], name string) {
	Combine(n, Combining[string, string, string, int64]{
		Name: func() string { return name }, Keys: serde.String, Values: serde.Int64,
		KeyOf: func(r *processor.Record[string, string]) (string, string) { return r.Value, "" },
		Fold:  func(n int64, _ bool, _ *processor.Record[string, string]) int64 { return n + 1 },
	})
}

func byRecordTime(c *Config) { c.ByRecordTime = true }

func (s *stamping) record(v string) {
	s.t.Helper()
	s.offset++
	if err := s.Process(s.host(), processor.NewRecord(v, v, processor.TimestampOf(s.now))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stamping) flush(want ...string) {
	s.t.Helper()
	if err := s.Flush(s.host()); err != nil {
		s.t.Fatal(err)
	}
	if got := s.take(); !slices.Equal(got, want) {
		s.t.Errorf("sent %q, want %q", got, want)
	}
}

func newStamping(t *testing.T) *stamping {
	return &stamping{t: t, fakeHost: &fakeHost{positions: map[string]int64{}, task: processor.Task{Partition: 1, Partitions: 3}}}
}

func TestStamper(t *testing.T) {
	t.Parallel()
	s := newStamping(t)
	if err := s.start(1234, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	s.record("a")
	s.flush("v a=1 in 1300", "gap 0-1200")
	s.record("a")
	s.record("b")
	s.record("a")
	s.now = at(1301)
	s.record("a") // before the punctuator
	s.flush("v a=2 in 1300", "v b=1 in 1300", "v a=1 in 1400", "live 1200-1300")
	if s.commits == 0 {
		t.Error("no commit was asked for at the boundary")
	}
	s.flush()
}

// TestStamperStarts restarts a task whose last commit was in the batch from 1200 to 1300,
// after a record in it.
func TestStamperStarts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		now      int64
		interval time.Duration
		want     []string
	}{
		{1299, 100 * time.Millisecond, []string{"v z=1 in 1300"}},
		{1000, 100 * time.Millisecond, []string{"v z=1 in 1300"}}, // never back
		{1400, 100 * time.Millisecond, []string{"v z=1 in 1500", "live 1200-1300", "live 1300-1400"}},
		{9999, 100 * time.Millisecond, []string{"v z=1 in 10000", "live 1200-1300", "gap 1300-9900"}},
		// The open batch keeps its end, and the next one has the new interval.
		{1299, 70 * time.Millisecond, []string{"v z=1 in 1300"}},
		{1301, 70 * time.Millisecond, []string{"v z=1 in 1330", "live 1200-1300"}},
	} {
		s := newStamping(t)
		if err := s.start(1210, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		s.record("a")
		s.flush("v a=1 in 1300", "gap 0-1200")
		s.record("lost")
		if err := s.start(test.now, test.interval); err != nil {
			t.Fatal(err)
		}
		s.record("z")
		s.flush(test.want...)
	}
}

func TestStamperRefuses(t *testing.T) {
	t.Parallel()
	s := newStamping(t)
	if err := s.start(1234, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	s.flush("gap 0-1200")
	s.fakeHost.task.Partitions = 4
	if err := s.start(1234, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "changed from 3 to 4") {
		t.Errorf("another number of tasks: %v", err)
	}
	s.fakeHost.task.Partitions = 3
	if err := s.start(1234, 100*time.Millisecond, byRecordTime); err == nil || !strings.Contains(err.Error(), "by arrival") {
		t.Errorf("by record time: %v", err)
	}
	s = newStamping(t)
	if err := s.start(1234, 100*time.Millisecond, byRecordTime); err != nil {
		t.Fatal(err)
	}
	s.flush() // without a record there is nothing to flush
	s.record("a")
	s.flush("v a=1 in 1300", "gap 0-1200")
	if err := s.start(1234, 50*time.Millisecond, byRecordTime); err == nil || !strings.Contains(err.Error(), "interval changed from 100 ms to 50 ms") {
		t.Errorf("another interval by record time: %v", err)
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	for _, s := range []shape{{5000, false, 1}, {24 * 3600 * 1000, true, 1<<taskBits - 1}, {1, true, 7}} {
		if got := decodeShape(s.encode()); got != s {
			t.Errorf("%v became %v", s, got)
		}
	}
}

// TestStamperTellsWhatItHolds: the memory of distinct values is counted until the commit.
// The sizes of the values are counted from the second commit on.
func TestStamperTellsWhatItHolds(t *testing.T) {
	t.Parallel()
	s := newStamping(t)
	if err := s.start(1234, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	s.record("a")
	one := s.held
	for range 9 {
		s.record("a")
	}
	if one < 16 || s.held != one {
		t.Errorf("one value holds %d bytes, ten times the same one %d", one, s.held)
	}
	for i := range 999 {
		s.record(fmt.Sprint("b", i))
	}
	if s.held < 1000*one {
		t.Errorf("1000 values hold %d bytes, one %d", s.held, one)
	}
	if err := s.Flush(s.host()); err != nil || s.held != 0 {
		t.Errorf("after a commit %d bytes are held, %v", s.held, err)
	}
	if s.record("a"); s.held != one+8 {
		t.Errorf("with counts of 8 bytes a value holds %d bytes, want %d", s.held, one+8)
	}
}
