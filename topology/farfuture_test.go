package topology

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// windowsAsText sends the rows of a windowed table to a topic.
func windowsAsText(t WindowedTable[string, string]) {
	Map(t.Stream(), func(r processor.Record[serde.Windowed[string], string]) rec {
		return rec{Key: fmt.Sprintf("%s/%d", r.Key.Key, r.Key.Window.Start), Value: r.Value, Timestamp: r.Timestamp}
	}, serde.String, serde.String).To("out")
}

func appendText(a string, r rec) string { return a + r.Value }

// TestSessionsBeforeARecordOfTheFarFuture: a producer has written microseconds instead of
// milliseconds. The sessions before are closed without a look at each segment of time in
// between.
func TestSessionsBeforeARecordOfTheFarFuture(t *testing.T) {
	t.Parallel()
	b := New()
	sessions := GroupByKey(Source(b, "in", serde.String, serde.String), "by").Sessions(10 * time.Millisecond)
	windowsAsText(AggregateSessions(sessions, "sessions", func() string { return "" }, appendText, func(a, b string) string { return a + b }, serde.String).Final())
	f := run(t, b)
	f.Feed("in", "k:a@1000", "l:x@1001", "k:b@1005", "k:c@1704067200000000", "k:d@1704067200000001")
	f.Expect("out l/1001:x@1001", "out k/1000:ab@1005")
	f.Feed("in", "k:late@1006", "k:e@9223372036854775807")
	f.Expect("out k/1704067200000000:cd@1704067200000001")
	f.ExpectDrops("sessions: late record")
}

// TestSessionAtTheEndOfTime: no time is a gap after these records. They are one session.
func TestSessionAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	b := New()
	GroupByKey(Source(b, "in", serde.String, serde.String), "by").Sessions(ms(10)).Reduce("last", concat).Stream().To("out", Named("out"))
	f := run(t, b)
	f.Feed("in", "k:a@9223372036854775807", "k:b@9223372036854775806")
	f.Commit()
	if n := len(f.Sent); n != 1 || string(f.Sent[0].Value) != "ab" {
		t.Errorf("sent %+v, want one session with both records", f.Sent)
	}
}

// TestSlidingWindowsAtTheEndOfTime: the windows that would end after the last timestamp
// get every record that is in them.
func TestSlidingWindowsAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	b := New()
	w := GroupByKey(Source(b, "in", serde.String, serde.String), "by").Window(Sliding(10 * time.Millisecond))
	windowsAsText(AggregateWindows(w, "windows", func() string { return "" }, appendText, serde.String))
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("in", "k:X@9223372036854775807", "k:Z@9223372036854775804")
	f.Out()
	f.Feed("in", "k:W@9223372036854775807")
	f.Expect(
		"out k/9223372036854775805:XW@9223372036854775807",
		"out k/9223372036854775797:XZW@9223372036854775807",
	)
}
