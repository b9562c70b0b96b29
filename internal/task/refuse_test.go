package task

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

var errRefused = errors.New("INVALID_RECORD")

// refusal returns the refusal of the i-th output that was sent.
func (s *shell) refusal(i int) Refusal {
	return Refusal{Out: s.raw[i], From: s.from[i], Err: errRefused}
}

func TestRefusedOutput(t *testing.T) {
	t.Parallel()
	never := 0
	input := in("k", "1", 7)
	input.Topic = "in"
	for _, test := range []struct {
		policy processor.ErrorPolicy
		fails  bool
		again  int
		want   []string
	}{
		{processor.ErrorPolicy{}, true, 0, nil},
		{processor.ErrorPolicy{Produce: processor.Skip}, false, 0, []string{"out k=1@1", "all k=1@1", "out k=2@2", "all k=2@2"}},
		{processor.ErrorPolicy{Produce: processor.DeadLetter, DeadLetterTopic: "dead"}, false, 0,
			[]string{"out k=1@1", "all k=1@1", "out k=2@2", "all k=2@2", "dead k=1@7"}},
		{processor.ErrorPolicy{Produce: processor.Retry, Retries: 2}, true, 2, nil},
		{processor.ErrorPolicy{Produce: processor.Retry, Exhausted: processor.Skip}, false, 3,
			[]string{"out k=1@1", "all k=1@1", "out k=2@2", "all k=2@2"}},
	} {
		s := policyShell(t, failing(&never), test.policy)
		s.add("in", in("k", "1", 1), in("k", "2", 2))
		s.run()
		again, err := 0, error(nil)
		for r := s.refusal(0); ; r.Tries++ {
			r.Input = &input
			var out *graph.Output
			if out, err = s.task.Refused(r); out == nil {
				break
			}
			again++
		}
		var e *processor.Error
		if errors.As(err, &e) != test.fails || again != test.again {
			t.Errorf("%+v: sent again %d times, then %v", test.policy, again, err)
		}
		if test.fails {
			if !errors.Is(err, errRefused) || e.Phase != processor.Produce || e.Node != "sink-out" || e.Topic != "in" || e.Offset != 0 || string(e.Value) != "1" {
				t.Errorf("got %v, want the refusal at in/0@0", err)
			}
			continue
		}
		s.wantOpen(test.want...)
		if n := s.task.Dropped()["error in produce"]; n != 1 {
			t.Errorf("%d dropped", n)
		}
		s.commit()
	}
}

// If a changelog record is refused, the task fails under every policy. The error names
// the record that changed the row.
func TestRefusedChangelogRecordFails(t *testing.T) {
	t.Parallel()
	s, _ := storeShell(t, numbersSpec{name: "numbers", persistent: true})
	s.cfg.Policy = processor.ErrorPolicy{Produce: processor.Skip}
	s.abort()
	s.add("in", in("k", "a", 5))
	s.run()
	if _, err := s.task.Begin(); err != nil {
		t.Fatal(err)
	}
	out, err := s.task.Refused(s.refusal(1))
	var e *processor.Error
	if out != nil || !errors.As(err, &e) || e.Topic != "in" || e.Offset != 7 || e.Node != "topic app-numbers-changelog" {
		t.Errorf("got %v, %v", out, err)
	}
}

// A dead letter is reduced until its topic accepts it.
func TestRefusedDeadLetter(t *testing.T) {
	t.Parallel()
	s := newShell(t, failing(new(int)), "in")
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}
	s.cfg.Now = time.UnixMilli(1000)
	s.start()
	letter := graph.Output{Topic: "dead", Value: []byte("value"), Timestamp: 5, Headers: processor.Headers{
		// The record is already a dead letter.
		{Key: "own", Value: []byte("1")}, {Key: processor.DeadLetterTimestamp, Value: []byte("of an earlier letter")},
		{Key: processor.DeadLetterError, Value: []byte(strings.Repeat("x", 3000))},
		{Key: processor.DeadLetterTopic, Value: []byte("in")}, {Key: processor.DeadLetterPartition, Value: []byte("1")}, {Key: processor.DeadLetterOffset, Value: []byte("2")},
	}}
	var forms []string
	for r := (Refusal{Out: letter, Err: errRefused}); ; r.Tries++ {
		out, err := s.task.Refused(r)
		if err != nil {
			t.Fatal(err)
		}
		if out == nil {
			break
		}
		var notes []string
		for _, h := range out.Headers {
			if h.Key == processor.DeadLetterOmitted || h.Key == processor.DeadLetterTimestamp || h.Key == "own" {
				notes = append(notes, h.Key+"="+string(h.Value))
			}
		}
		forms = append(forms, fmt.Sprintf("%s=%s@%d %s", out.Key, out.Value, out.Timestamp, strings.Join(notes, ", ")))
		r.Out = *out
	}
	want := []string{
		"=value@1000 own=1, millrace.timestamp=of an earlier letter, millrace.timestamp=5",
		"in/1@2=value@1000 own=1, millrace.timestamp=of an earlier letter, millrace.timestamp=5, millrace.omitted=key: the record has none, and the topic needs one",
		"in/1@2=@1000 own=1, millrace.timestamp=of an earlier letter, millrace.timestamp=5, millrace.omitted=key: the record has none, and the topic needs one, millrace.omitted=value: 5 bytes",
		"in/1@2=@1000 millrace.timestamp=5, millrace.omitted=key: the record has none, and the topic needs one, millrace.omitted=value: 5 bytes, millrace.omitted=headers: 2",
	}
	if !slices.Equal(forms, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(forms, "\n"), strings.Join(want, "\n"))
	}
	if _, err := s.task.Refused(Refusal{Out: letter, Err: errRefused, Gone: true}); !errors.Is(err, errRefused) {
		t.Errorf("the topic is gone: %v", err)
	}
}

// A record that the topic's configuration excludes goes to the policy before it is sent.
// A dead letter is changed until it fits.
func TestConfigurationExcludesRecords(t *testing.T) {
	t.Parallel()
	const hour = int64(time.Hour / time.Millisecond)
	now := 100 * hour
	for name, test := range map[string]struct {
		config map[string]string
		record graph.Input
		fits   bool
		letter string
	}{
		"fits":             {map[string]string{"message.timestamp.after.max.ms": "3600000"}, in("k", "v", now), true, ""},
		"near the bound":   {map[string]string{"message.timestamp.after.max.ms": "3600000"}, in("k", "v", now+hour+1), true, ""},
		"ahead":            {map[string]string{"message.timestamp.after.max.ms": "3600000"}, in("k", "v", now+2*hour), false, "k=v@360000000 millrace.timestamp=367200000"},
		"behind":           {map[string]string{"message.timestamp.before.max.ms": "3600000"}, in("k", "v", 1), false, "k=v@360000000 millrace.timestamp=1"},
		"old setting":      {map[string]string{"message.timestamp.difference.max.ms": "3600000", "message.timestamp.after.max.ms": "9223372036854775807"}, in("k", "v", 1), false, "k=v@360000000 millrace.timestamp=1"},
		"broker's time":    {map[string]string{"message.timestamp.after.max.ms": "3600000", "message.timestamp.type": "LogAppendTime"}, in("k", "v", now+2*hour), true, ""},
		"no key":           {map[string]string{"cleanup.policy": "compact,delete"}, graph.Input{Value: []byte("v"), Timestamp: 1}, false, "in/0@0=v@1 millrace.omitted=key: the record has none, and the topic needs one"},
		"too large":        {map[string]string{"max.message.bytes": "1200", "segment.bytes": "5000"}, in("k", strings.Repeat("v", 1200), 1), false, "k=@1 millrace.omitted=value: 1200 bytes"},
		"segment":          {map[string]string{"max.message.bytes": "5000", "segment.bytes": "1200"}, in("k", strings.Repeat("v", 1200), 1), false, "k=@1 millrace.omitted=value: 1200 bytes"},
		"exactly as large": {map[string]string{"max.message.bytes": "1200"}, in("k", strings.Repeat("v", 1200-61-2-3-2-2-1), 1), true, ""},
		"key too large": {map[string]string{"max.message.bytes": "800"}, in(strings.Repeat("k", 1200), "v", 1), false,
			"=@1 millrace.omitted=value: 1 bytes, millrace.omitted=headers: 0, millrace.omitted=key: 1200 bytes"},
	} {
		s := newShell(t, failing(new(int)), "in")
		limits := LimitsOf(test.config)
		limits.Uncompressed = true
		s.limits = map[string]*Limits{"out": limits, "dead": limits}
		s.cfg.Policy = processor.ErrorPolicy{Produce: processor.DeadLetter, DeadLetterTopic: "dead"}
		s.start()
		s.add("in", test.record)
		if _, err := s.task.Process(time.UnixMilli(now), 1); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sent := s.raw[0]
		if test.fits != (sent.Topic == "out") {
			t.Errorf("%s: sent to %s", name, sent.Topic)
		}
		if test.fits {
			continue
		}
		got := fmt.Sprintf("%s=%s@%d", sent.Key, sent.Value, sent.Timestamp)
		separator := " "
		for _, h := range sent.Headers {
			if h.Key == processor.DeadLetterOmitted || h.Key == processor.DeadLetterTimestamp {
				got += separator + h.Key + "=" + string(h.Value)
				separator = ", "
			}
		}
		if got != test.letter {
			t.Errorf("%s: letter %s, want %s", name, got, test.letter)
		}
	}
}

// A dead letter has the timestamp of the log, not an extracted one.
func TestDeadLetterHasTheTimestampOfTheLog(t *testing.T) {
	t.Parallel()
	b := &builder{}
	source := b.source(false, "in")
	made := source.New
	source.New = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		s, err := made(t, n, children)
		return &extracting{s.(*fakeSource)}, err
	}
	b.process("p", nil, func(*fakeProcessor, *rec) error { return errBoom }, source)
	s := policyShell(t, b.graph(), processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"})
	s.add("in", in("k", "v", 5))
	s.run()
	s.wantOpen("dead k=v@5")
}

type extracting struct{ *fakeSource }

func (*extracting) Timestamp(in *graph.Input, _ processor.Timestamp) (processor.Timestamp, bool, error) {
	return in.Timestamp + 1_000_000, true, nil
}

func TestStopBefore(t *testing.T) {
	t.Parallel()
	s := newShell(t, pass("a", "b"), "a", "b")
	s.start()
	s.task.StopBefore("b", 0, 1)
	s.add("a", in("k", "a0", 1), in("k", "a1", 9))
	s.add("b", in("k", "b0", 2), in("k", "b1", 3))
	s.run()
	s.wantOpen("out k=a0@1", "out k=b0@2")
	if !s.task.Stopped() {
		t.Error("not stopped")
	}
	s.run()
	s.commit()
	if at := s.offsets[Partition{"b", 0}].Offset; at != 1 {
		t.Errorf("committed %d", at)
	}
}
