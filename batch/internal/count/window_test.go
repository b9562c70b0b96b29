package count

import "testing"

// TestWindowThatWasAway: a window continues only if its totals end at the closer's batch.
// A new window has no totals, and always continues.
func TestWindowThatWasAway(t *testing.T) {
	t.Parallel()
	w := &windowing[string, int64]{Window: &Window[string, int64]{Name: func() string { return "w" }}}
	p := &panes[string, int64]{windows: []*windowing[string, int64]{w}}
	for _, test := range []struct {
		entered int64
		ok      bool
	}{{-1, true}, {100, true}, {90, false}} {
		w.entered = test.entered
		if err := p.check(func(end int64) bool { return end == 100 }); (err == nil) != test.ok {
			t.Errorf("entered %d: %v", test.entered, err)
		}
	}
}
