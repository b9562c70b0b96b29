package restore

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// An aborted transaction moves the end of a topic, and leaves no record in it.
func TestHoldsRecord(t *testing.T) {
	inWorld(t, 3, func(w *world) {
		holds := func(topic string, want bool) {
			t.Helper()
			got, err := HoldsRecord(background, w.cluster.Options(), topic, nil)
			if err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", topic, got, err, want)
			}
		}
		holds(changelog, false)
		holds("missing", false)
		p := w.producer("tx")
		w.begin(p, 1, "a", "b")
		w.end(p, kgo.TryAbort)
		holds(changelog, false)
		w.begin(p, 2, "c")
		w.end(p, kgo.TryCommit)
		holds(changelog, true)
	})
}
