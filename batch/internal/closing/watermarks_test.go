package closing

import (
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"strings"
	"testing"
)

func live(from, to int64) wire.Span { return wire.Span{From: from, To: to, Live: true} }
func gap(from, to int64) wire.Span  { return wire.Span{From: from, To: to} }

// fakeProgress is a store that is never read.
type fakeProgress struct {
	Progress
	rows map[string]string
}

func (f fakeProgress) Name() string { return "fake" }

func (f fakeProgress) Put(key, value []byte) error {
	f.rows[string(key)] = string(value)
	return nil
}

func (f fakeProgress) Delete(key []byte) ([]byte, bool, error) {
	old, ok := f.rows[string(key)]
	delete(f.rows, string(key))
	return []byte(old), ok, nil
}

func TestWatermarks(t *testing.T) {
	t.Parallel()
	w := &Watermarks{every: "e", store: fakeProgress{rows: map[string]string{}}, key: []byte("e\x00")}
	mark := func(task int32, s wire.Span) {
		t.Helper()
		if err := w.Mark(wire.Message{Kind: wire.Marker, Span: s, Task: task, Of: 2}); err != nil {
			t.Fatal(err)
		}
	}
	next := func(want wire.Span) {
		t.Helper()
		got, ok := w.next()
		if ok != (want.To > 0) || got != want {
			t.Fatalf("next is %v, %v, want %v", got, ok, want)
		}
		if ok {
			if err := w.finish(); err != nil {
				t.Fatal(err)
			}
		}
	}
	next(wire.Span{})
	mark(0, gap(0, 100))
	mark(0, live(100, 110))
	next(wire.Span{}) // the other sender has sent nothing
	mark(1, gap(0, 105))
	next(wire.Span{})
	mark(0, live(110, 120))
	mark(1, live(105, 110))
	next(live(100, 110))
	next(wire.Span{})
	mark(1, gap(110, 130))
	next(live(110, 120))
	mark(0, gap(120, 130)) // nothing ran
	next(wire.Span{})
	mark(0, live(130, 135)) // the senders have different intervals
	mark(1, live(130, 140))
	mark(0, live(135, 140))
	next(live(130, 135))
	next(live(130, 140))
	mark(0, live(135, 140)) // again, under at-least-once
	next(wire.Span{})

	err := w.Mark(wire.Message{Kind: wire.Marker, Span: live(140, 150), Task: 2, Of: 3})
	if err == nil || !strings.Contains(err.Error(), "changed from 2 to 3") {
		t.Errorf("another number of senders: %v", err)
	}
}

// TestCloserAt: a window continues if its totals end with the last completed batch, or
// with the batch that is being closed.
func TestCloserAt(t *testing.T) {
	t.Parallel()
	marks := &Watermarks{done: 100}
	between := Closer{marks: marks}
	during := Closer{marks: marks, active: true, batch: live(100, 110)}
	for _, test := range []struct {
		c    Closer
		end  int64
		want bool
	}{
		{between, 100, true}, {between, 90, false}, {between, 110, false},
		{during, 100, true}, {during, 110, true}, {during, 90, false},
	} {
		if got := test.c.At(test.end); got != test.want {
			t.Errorf("active %v: At(%d) is %v", test.c.active, test.end, got)
		}
	}
}
