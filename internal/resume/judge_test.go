package resume

import (
	"fmt"
	"testing"
)

var (
	one = TopicID{1}
	two = TopicID{2}
)

// started is an input that was processed up to some offset, which the group has.
var started = Input{ID: one, Offset: 10, Started: true, StartID: one, LeftBehind: true, Stop: -1, Disk: -1}

func with(in Input, change func(*Input)) Input {
	change(&in)
	return in
}

func TestJudge(t *testing.T) {
	t.Parallel()
	lost := with(started, func(in *Input) { in.Offset = -1 })
	onDisk := with(lost, func(in *Input) { in.Disk, in.DiskID = 10, one })
	stopped := with(lost, func(in *Input) { in.Stop, in.StopID = 10, one })
	again := with(lost, func(in *Input) { in.ID = two })
	for _, c := range []struct {
		name     string
		in       Input
		complete bool
		policy   Policy
		want     Verdict
	}{
		{name: "the usual start", in: started, want: Verdict{AtCommitted, NotLost}},
		{name: "the first start", in: Input{ID: one, Offset: -1, Stop: -1, Disk: -1}, want: Verdict{AtSource, NotLost}},
		{name: "the first start of a new source beside state", in: Input{ID: one, Offset: -1, Stop: -1, Disk: -1, LeftBehind: true}, want: Verdict{AtSource, NotLost}},
		{name: "offsets from before there were start records", in: Input{ID: one, Offset: 10, Stop: -1, Disk: -1}, want: Verdict{AtCommitted, NotLost}},
		{name: "expired", in: lost, want: Verdict{Refused, Lost}},
		{name: "expired, nothing left behind", in: with(lost, func(in *Input) { in.LeftBehind = false }), want: Verdict{AtSource, Lost}},
		{name: "expired, never written", in: with(lost, func(in *Input) { in.Unwritten = true }), want: Verdict{AtSource, Lost}},
		{name: "expired, earliest", in: lost, policy: Policy{Lost: Earliest}, want: Verdict{AtEarliest, Lost}},
		{name: "expired, latest", in: lost, policy: Policy{Lost: Latest}, want: Verdict{AtLatest, Lost}},
		{name: "expired, the other policy", in: lost, policy: Policy{Recreated: Earliest}, want: Verdict{Refused, Lost}},
		{name: "expired, stopped", in: stopped, want: Verdict{AtStop, Lost}},
		{name: "expired, stopped, old disk", in: with(stopped, func(in *Input) { in.Disk, in.DiskID = 8, one }), want: Verdict{AtStop, Lost}},
		{name: "expired, stopped, before the policy", in: stopped, policy: Policy{Lost: Latest}, want: Verdict{AtStop, Lost}},
		{name: "expired, stopped, another topic", in: with(stopped, func(in *Input) { in.StopID = two }), want: Verdict{Refused, Lost}},
		{name: "recreated, stopped", in: with(stopped, func(in *Input) { in.ID = two }), want: Verdict{Refused, Recreated}},
		{name: "expired, disk", in: onDisk, complete: true, want: Verdict{AtDisk, Lost}},
		{name: "expired, disk before the policy", in: onDisk, complete: true, policy: Policy{Lost: Earliest}, want: Verdict{AtDisk, Lost}},
		{name: "expired, old disk", in: onDisk, want: Verdict{Refused, Lost}},
		{name: "expired, disk of another topic", in: with(onDisk, func(in *Input) { in.DiskID = two }), complete: true, want: Verdict{Refused, Lost}},
		{name: "expired, IDs unknown", in: with(onDisk, func(in *Input) { in.ID = TopicID{} }), complete: true, want: Verdict{AtDisk, Lost}},
		{name: "recreated", in: again, want: Verdict{Refused, Recreated}},
		{name: "recreated, disk", in: with(again, func(in *Input) { in.Disk, in.DiskID = 10, one }), complete: true, want: Verdict{Refused, Recreated}},
		{name: "recreated, never written", in: with(again, func(in *Input) { in.Unwritten = true }), want: Verdict{Refused, Recreated}},
		{name: "recreated, earliest", in: again, policy: Policy{Recreated: Earliest}, want: Verdict{AtEarliest, Recreated}},
		{name: "recreated, the other policy", in: again, policy: Policy{Lost: Earliest}, want: Verdict{Refused, Recreated}},
		{name: "recreated, nothing left behind", in: with(again, func(in *Input) { in.LeftBehind = false }), want: Verdict{AtSource, Recreated}},
		{name: "recreated, no start record", in: Input{ID: one, Offset: 10, Outdated: true, Stop: -1, Disk: -1}, want: Verdict{AtSource, Recreated}},
		{name: "recreated, no start record, state", in: Input{ID: one, Offset: 10, Outdated: true, LeftBehind: true, Stop: -1, Disk: -1}, want: Verdict{Refused, Recreated}},
		{name: "recreated, the broker kept the offset", in: with(started, func(in *Input) { in.ID = two }), want: Verdict{Refused, Recreated}},
		{name: "recreated, set by a tool", in: with(started, func(in *Input) { in.ID, in.ByTool = two, true }), want: Verdict{AtCommitted, NotLost}},
		{name: "set by a tool", in: with(started, func(in *Input) { in.Offset, in.ByTool = 3, true }), want: Verdict{AtCommitted, NotLost}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Judge([]Input{c.in}, c.complete, c.policy)[0]; got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// The offsets on the disk belong together. If the group has a later offset for one of
// them, the disk is old.
func TestDiskBehindTheGroup(t *testing.T) {
	t.Parallel()
	lost := with(started, func(in *Input) { in.Offset, in.Disk, in.DiskID = -1, 10, one })
	for _, c := range []struct {
		name    string
		sibling Input
		want    Begin
	}{
		{"equal", with(started, func(in *Input) { in.Disk, in.DiskID = 10, one }), AtDisk},
		{"the disk is ahead, as at least once allows", with(started, func(in *Input) { in.Disk, in.DiskID = 12, one }), AtDisk},
		{"the group is ahead", with(started, func(in *Input) { in.Disk, in.DiskID = 8, one }), Refused},
		{"a tool has put the group ahead", with(started, func(in *Input) { in.Disk, in.DiskID, in.ByTool = 8, one, true }), AtDisk},
		{"new to the task", with(started, func(in *Input) { in.Disk = -1 }), AtDisk},
	} {
		got := Judge([]Input{lost, c.sibling}, true, Policy{})
		if got[0].Begin != c.want || got[1] != (Verdict{AtCommitted, NotLost}) {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}

// TestRules compares the judgement with the rules in plain words, for every combination
// of facts.
func TestRules(t *testing.T) {
	t.Parallel()
	n := 0
	each(func(in Input, complete bool, policy Policy) {
		n++
		got := Judge([]Input{in}, complete, policy)[0]
		fail := func(rule string) {
			t.Errorf("%s: %s: %+v", rule, fmt.Sprintf("%+v, complete %v, %+v", in, complete, policy), got)
		}
		if in.Offset >= 0 && in.ByTool && got.Begin != AtCommitted {
			fail("what a tool has set is honoured")
		}
		known := in.Started || in.Outdated
		if !known && (got.Begin != AtCommitted && got.Begin != AtSource || got.Loss != NotLost) {
			fail("what was never started cannot be lost")
		}
		if got.Begin == AtCommitted != (in.Offset >= 0 && !in.stale()) {
			fail("an offset of this topic is used, and no other")
		}
		if got.Begin == AtSource && known && in.LeftBehind && !in.Unwritten {
			fail("nothing is counted twice in silence")
		}
		if got.Begin == Refused && !(known && in.LeftBehind) {
			fail("no start is refused that is in order")
		}
		if got.Begin == AtDisk && !(complete && in.Disk >= 0 && !in.DiskID.Differs(in.ID) && !in.recreated()) {
			fail("the disk counts only if it is complete and about this topic")
		}
		if got.Begin == AtStop && !(in.Stop >= 0 && !in.StopID.Differs(in.ID) && !in.recreated()) {
			fail("a stop counts only if it is about this topic")
		}
		choice := policy.Lost
		if got.Loss == Recreated {
			choice = policy.Recreated
		}
		if got.Begin == Refused && choice != Refuse || got.Begin == AtEarliest && choice != Earliest || got.Begin == AtLatest && choice != Latest {
			fail("the operator's choice")
		}
		if got.Open() && got.Loss != Lost {
			fail("no disk helps against another topic")
		}
	})
	if n < 5000 {
		t.Errorf("only %d combinations", n)
	}
}

func each(f func(in Input, complete bool, policy Policy)) {
	ids, bools := []TopicID{{}, one, two}, []bool{false, true}
	for _, id := range ids {
		for _, startID := range ids {
			for _, diskID := range ids {
				for bits := range 1 << 8 {
					in := Input{ID: id, StartID: startID, DiskID: diskID, StopID: diskID, Offset: -1, Disk: -1, Stop: -1}
					in.ByTool, in.Started, in.LeftBehind, in.Unwritten = bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0
					if bits&16 > 0 {
						in.Offset = 10
					}
					if bits&32 > 0 {
						in.Disk = 10
					}
					if bits&64 > 0 {
						in.Stop = 10
					}
					in.Outdated = bits&128 > 0 && in.Offset >= 0 && !in.ByTool
					for _, complete := range bools {
						for lost := Refuse; lost <= Latest; lost++ {
							f(in, complete, Policy{Lost: lost, Recreated: (lost + 1) % 3})
							f(in, complete, Policy{Lost: lost, Recreated: lost})
						}
					}
				}
			}
		}
	}
}
