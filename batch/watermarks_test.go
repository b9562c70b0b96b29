package batch

import (
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"strings"
	"testing"
)

// fakeProgress is a store that is only written.
type fakeProgress struct {
	progress
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
	w := &watermarks{every: "e", store: fakeProgress{rows: map[string]string{}}, key: []byte("e\x00")}
	mark := func(task int32, s wire.Span) {
		t.Helper()
		if err := w.mark(wire.Message{Kind: wire.Marker, Span: s, Task: task, Of: 2}); err != nil {
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
	next(wire.Span{}) // nothing was heard of the other
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

	err := w.mark(wire.Message{Kind: wire.Marker, Span: live(140, 150), Task: 2, Of: 3})
	if err == nil || !strings.Contains(err.Error(), "changed from 2 to 3") {
		t.Errorf("another number of senders: %v", err)
	}
}

func TestWindowThatWasAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		entered int64
		at      closer
		ok      bool
	}{
		{-1, closer{}, true},
		{100, closer{}, true},
		{110, closer{active: true, batch: live(100, 110)}, true},
		{90, closer{}, false},
		{90, closer{active: true, batch: live(100, 110)}, false},
	} {
		test.at.marks = &watermarks{done: 100}
		c := &panes[string, int64]{windows: []*windowing[string, int64]{{entered: test.entered, w: &window[string, int64]{h: &header{name: "w"}}}}}
		if err := c.check(&test.at); (err == nil) != test.ok {
			t.Errorf("entered %d: %v", test.entered, err)
		}
	}
}
