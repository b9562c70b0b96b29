package stamp

import (
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"slices"
	"testing"
	"time"
)

func at(ms int64) time.Time { return time.UnixMilli(ms) }

func live(from, to int64) wire.Span { return wire.Span{From: from, To: to, Live: true} }
func gap(from, to int64) wire.Span  { return wire.Span{From: from, To: to} }

func equal(t *testing.T, what string, got []wire.Span, want ...wire.Span) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: passed %v, want %v", what, got, want)
	}
}

func TestClockByArrival(t *testing.T) {
	t.Parallel()
	c := clock{interval: 100, last: at(1234)}
	equal(t, "begin", []wire.Span{c.begin(1234)}, gap(0, 1200))
	equal(t, "in the batch", c.arrived(at(1299), false))
	equal(t, "at the boundary", c.arrived(at(1300), false), live(1200, 1300))
	equal(t, "back in time", c.arrived(at(1100), false))
	if b := c.take(); b != (wire.Span{From: 1300, To: 1400}) {
		t.Errorf("the open batch is %v", b)
	}
	equal(t, "two at once", c.arrived(at(1300), false))
	equal(t, "two at once", c.arrived(at(1500), false), live(1300, 1400), live(1400, 1500))
	equal(t, "a jump", c.arrived(at(2050), false), live(1500, 1600), gap(1600, 2000))
}

// TestClockLate distinguishes a late boundary from a clock that jumps.
func TestClockLate(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c := clock{interval: 100, last: start}
	c.begin(start.UnixMilli())
	open := c.open
	passed := c.arrived(start.Add(time.Second), false)
	if len(passed) < 9 || slices.ContainsFunc(passed, func(p wire.Span) bool { return !p.Live }) {
		t.Errorf("a second late: %v", passed)
	}
	if passed[0].From != open {
		t.Errorf("the first is %v, want it to start at %d", passed[0], open)
	}
	// A reading without its monotonic part simulates a clock that was set.
	equal(t, "set", c.arrived(c.last.Round(0).Add(time.Second), false), live(c.open-1000, c.open-900), gap(c.open-900, c.open))
}

func TestClockStarts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		by, used int64
		now      int64
		want     []wire.Span
	}{
		{"at once", 100, 0, 1250, nil},
		{"a little late", 100, 0, 1410, []wire.Span{live(1200, 1300), live(1300, 1400)}},
		{"after a long time", 100, 0, 2010, []wire.Span{gap(1200, 2000)}},
		{"after a long time, with records", 100, 1300, 2010, []wire.Span{live(1200, 1300), gap(1300, 2000)}},
		{"another interval", 50, 0, 1249, nil},
		{"another interval, late", 50, 0, 1270, []wire.Span{live(1200, 1250)}},
		{"another interval, after a long time", 50, 1250, 2010, []wire.Span{live(1200, 1250), gap(1250, 2000)}},
	} {
		c := clock{interval: 100, last: at(test.now)}
		c.resume(1200, test.by, test.used)
		equal(t, test.name, c.arrived(at(test.now), true), test.want...)
		if c.open > test.now || c.end <= test.now || c.end%100 != 0 && c.end != 1250 {
			t.Errorf("%s: the open batch is %d to %d", test.name, c.open, c.end)
		}
	}
}

func TestClockByRecordTime(t *testing.T) {
	t.Parallel()
	c := clock{interval: 100}
	c.begin(1234)
	for _, ts := range []int64{1250, 1320, 1390} {
		if _, ok := c.takeAt(ts); !ok {
			t.Errorf("%d is late", ts)
		}
	}
	equal(t, "first", c.pass(1310, c.far(1310)), live(1200, 1300))
	if _, ok := c.takeAt(1299); ok {
		t.Error("1299 is not late")
	}
	equal(t, "far", c.pass(9999, c.far(9999)), live(1300, 1400), gap(1400, 9900))
}

// FuzzClock checks that the reported spans follow one another without gaps, whatever the
// clock does.
func FuzzClock(f *testing.F) {
	f.Add([]byte{1, 200, 3, 50})
	f.Fuzz(func(t *testing.T, steps []byte) {
		c := clock{interval: 10, last: at(5000)}
		c.begin(5000)
		end, now := c.open, int64(5000)
		for i, s := range steps {
			now = max(0, now+int64(int8(s)))
			if s%3 == 0 {
				c.take()
			}
			if s%5 == 0 {
				c.last = at(now)
				c.resume(c.open, c.by, c.used)
			}
			if s%7 == 0 {
				c.interval = 5 + int64(i%9)
			}
			for _, p := range c.arrived(at(now), s%5 == 0) {
				if p.From != end || p.To <= p.From {
					t.Fatalf("%v after %d", p, end)
				}
				end = p.To
			}
			if c.open != end || c.end <= c.open || now >= c.end {
				t.Fatalf("now %d: open %d to %d, closed up to %d", now, c.open, c.end, end)
			}
		}
	})
}
