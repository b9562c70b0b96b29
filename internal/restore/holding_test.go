package restore

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A committed record counts, wherever it is. Markers and aborted records do not count.
func TestHolds(t *testing.T) {
	inWorld(t, 6, func(w *world) {
		const empty, aborted, committed, mixed, trimmed, plain = 0, 1, 2, 3, 4, 5
		p := w.producer("t")
		transact := func(partition int32, try kgo.TransactionEndTry) {
			w.begin(p, partition, "x", "y")
			w.end(p, try)
		}
		transact(aborted, kgo.TryAbort)
		transact(committed, kgo.TryCommit)
		transact(mixed, kgo.TryAbort)
		transact(mixed, kgo.TryCommit) // 3 and 4, and a marker
		w.write(w.producer(""), plain, "x")
		w.write(w.producer(""), trimmed, "x")
		var before kadm.Offsets
		before.AddOffset(changelog, trimmed, 1, -1)
		_, err := kadm.NewClient(p).DeleteRecords(background, before)
		w.must(err)

		r := w.restorer()
		at := func(partition int32, from int64) Partition {
			return Partition{Topic: changelog, Partition: partition, From: from}
		}
		got, err := r.Holds(background, []Partition{at(empty, -1), at(aborted, -1), at(committed, -1), at(mixed, -1), at(trimmed, -1), at(plain, 0)})
		w.must(err)
		yes, no := Holding{Records: true}, Holding{}
		if want := []Holding{no, no, yes, yes, yes, yes}; !slices.Equal(got, want) {
			t.Errorf("from the start: got %+v, want %+v", got, want)
		}
		got, err = r.Holds(background, []Partition{at(aborted, 1), at(committed, 2), at(mixed, 4), at(trimmed, 1), at(plain, 9)})
		w.must(err)
		if want := []Holding{no, no, yes, no, {Foreign: true}}; !slices.Equal(got, want) {
			t.Errorf("from a position: got %+v, want %+v", got, want)
		}
		other := at(committed, 3)
		other.TopicID = TopicID{1}
		got, err = r.Holds(background, []Partition{other})
		w.must(err)
		if !got[0].Foreign {
			t.Errorf("another topic: got %+v", got)
		}
		if _, err := r.Holds(background, []Partition{{Topic: "missing"}, at(committed, -1)}); !errors.Is(err, ErrMissing) {
			t.Errorf("got %v", err)
		}
	})
}
