package txn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// picky is a broker with one log per partition. It refuses a batch that has a bad record,
// and accepts the batches before it.
type picky struct {
	bad   map[*kgo.Record]error
	logs  map[int32][]string
	tries int
	rng   *rand.Rand
}

func (b *picky) try(records []*kgo.Record) ([]refusal, error) {
	b.tries++
	var refused []refusal
	failed := map[int32]error{}
	byPartition := map[int32][]*kgo.Record{}
	var order []int32
	for _, r := range records {
		if byPartition[r.Partition] == nil {
			order = append(order, r.Partition)
		}
		byPartition[r.Partition] = append(byPartition[r.Partition], r)
	}
	for _, p := range order {
		rest := byPartition[p]
		for len(rest) > 0 {
			n := 1 + b.rng.IntN(len(rest)) // the client is free to choose its batches
			batch := rest[:n]
			rest = rest[n:]
			for _, r := range batch {
				if b.bad[r] != nil && failed[p] == nil {
					failed[p] = b.bad[r]
				}
			}
			for _, r := range batch {
				if failed[p] != nil {
					refused = append(refused, refusal{r, failed[p]})
				} else {
					b.logs[p] = append(b.logs[p], string(r.Value))
				}
			}
		}
	}
	return refused, nil
}

// Any records are refused, in any partitions, and the client forms any batches of them.
// The judge gets exactly the refused records, and the others are written in order.
func TestSieveFindsExactlyTheRefused(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 300, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := &picky{bad: map[*kgo.Record]error{}, logs: map[int32][]string{}, rng: rng}
		partitions, share := 1+rng.Int32N(4), rng.Float64()
		if rng.IntN(2) == 0 {
			share /= 20
		}
		var group []*kgo.Record
		want := map[int32][]string{}
		for i := range 1 + rng.IntN(200) {
			r := &kgo.Record{Topic: "out", Partition: rng.Int32N(partitions), Value: fmt.Append(nil, i)}
			group = append(group, r)
			if rng.Float64() < share {
				b.bad[r] = []error{kerr.InvalidTimestamp, kerr.InvalidRecord, kerr.CorruptMessage, kerr.RecordListTooLarge}[rng.IntN(4)]
			} else {
				want[r.Partition] = append(want[r.Partition], string(r.Value))
			}
		}
		var judged []*kgo.Record
		s := sieve{try: b.try, pause: func(int) error { return nil }, judge: func(r *kgo.Record, err error) (bool, error) {
			if !errors.Is(err, b.bad[r]) || b.bad[r] == nil {
				t.Errorf("seed %d: record %s blamed with %v, want %v", seed, r.Value, err, b.bad[r])
			}
			judged = append(judged, r)
			return false, nil
		}}
		if _, err := s.sift(group); err != nil {
			t.Fatal(err)
		}
		if len(judged) != len(b.bad) {
			t.Errorf("seed %d: %d judged, want %d", seed, len(judged), len(b.bad))
		}
		for p := range partitions {
			if !slices.Equal(b.logs[p], want[p]) {
				t.Errorf("seed %d: partition %d: got %v, want %v", seed, p, b.logs[p], want[p])
			}
		}
	})
}

// A record that is sent again, and then accepted, keeps its place.
func TestSieveKeepsTheOrderOfWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 100, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		b := &picky{bad: map[*kgo.Record]error{}, logs: map[int32][]string{}, rng: rng}
		var group []*kgo.Record
		var want []string
		for i := range 50 {
			r := &kgo.Record{Topic: "out", Value: fmt.Append(nil, i)}
			group, want = append(group, r), append(want, string(r.Value))
			if rng.IntN(5) == 0 {
				b.bad[r] = []error{kerr.InvalidRecord, kerr.UnknownTopicOrPartition}[rng.IntN(2)]
			}
		}
		s := sieve{try: b.try, judge: func(r *kgo.Record, _ error) (bool, error) {
			if rng.IntN(2) == 0 {
				delete(b.bad, r)
			}
			return true, nil
		}}
		if _, err := s.sift(group); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(b.logs[0], want) {
			t.Errorf("seed %d: got %v", seed, b.logs[0])
		}
	})
}

// The number of tries per refused record is about that of a binary search. If all records
// are refused, it is twice their number.
func TestSieveTriesSeldom(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ records, bad, most int }{{40, 4, 45}, {256, 1, 20}, {256, 256, 520}} {
		b := &picky{bad: map[*kgo.Record]error{}, logs: map[int32][]string{}, rng: rand.New(rand.NewPCG(1, 1))}
		var group []*kgo.Record
		for i := range tc.records {
			r := &kgo.Record{Topic: "out"}
			group = append(group, r)
			if i%(tc.records/tc.bad) == 0 {
				b.bad[r] = kerr.InvalidRecord
			}
		}
		s := sieve{try: b.try, judge: func(*kgo.Record, error) (bool, error) { return false, nil }}
		if _, err := s.sift(group); err != nil {
			t.Fatal(err)
		}
		if b.tries > tc.most {
			t.Errorf("%d of %d: %d tries, want %d at most", tc.bad, tc.records, b.tries, tc.most)
		}
		t.Log(tc, b.tries)
	}
}

// A temporary refusal loses no record.
func TestSieveTriesDoubtfulRefusalsAgain(t *testing.T) {
	t.Parallel()
	for _, err := range []error{kerr.CorruptMessage, kerr.UnknownServerError} {
		left, pauses := 1+doubts, 0 // both records together, and then one of them alone
		group := []*kgo.Record{{Value: []byte("a")}, {Value: []byte("b")}}
		s := sieve{
			try: func(records []*kgo.Record) (refused []refusal, _ error) {
				if left--; left >= 0 {
					for _, r := range records {
						refused = append(refused, refusal{r, err})
					}
				}
				return refused, nil
			},
			judge: func(*kgo.Record, error) (bool, error) { t.Errorf("%v is blamed on a record", err); return false, nil },
			pause: func(int) error { pauses++; return nil },
		}
		if _, err := s.sift(group); err != nil {
			t.Fatal(err)
		}
		if pauses != doubts {
			t.Errorf("%d pauses", pauses)
		}
	}
}

// If the broker accepts other records meanwhile, a refusal that may be temporary costs
// fewDoubts pauses for each record, and none for the other records of its batch.
func TestSieveSeldomWaits(t *testing.T) {
	t.Parallel()
	b := &picky{bad: map[*kgo.Record]error{}, logs: map[int32][]string{}, rng: rand.New(rand.NewPCG(1, 1))}
	var group []*kgo.Record
	for i := range 256 {
		r := &kgo.Record{Topic: "out"}
		group = append(group, r)
		if i%50 == 49 {
			b.bad[r] = kerr.CorruptMessage
		}
	}
	pauses := 0
	s := sieve{
		try:   b.try,
		judge: func(*kgo.Record, error) (bool, error) { return false, nil },
		pause: func(int) error { pauses++; return nil },
	}
	if _, err := s.sift(group); err != nil {
		t.Fatal(err)
	}
	if pauses != fewDoubts*len(b.bad) {
		t.Errorf("%d pauses for %d records", pauses, len(b.bad))
	}
}

// A broker refuses everything for a while, in the middle of a search. No record is lost.
func TestSieveOutlastsTrouble(t *testing.T) {
	t.Parallel()
	for after := range 40 {
		b := &picky{bad: map[*kgo.Record]error{}, logs: map[int32][]string{}, rng: rand.New(rand.NewPCG(1, 1))}
		var group []*kgo.Record
		for range 64 {
			group = append(group, &kgo.Record{Topic: "out"})
		}
		b.bad[group[20]] = kerr.InvalidRecord
		trouble := false
		s := sieve{
			try: func(records []*kgo.Record) (refused []refusal, _ error) {
				if trouble = trouble || b.tries == after; !trouble {
					return b.try(records)
				}
				for _, r := range records {
					refused = append(refused, refusal{r, kerr.UnknownServerError})
				}
				return refused, nil
			},
			judge: func(r *kgo.Record, err error) (bool, error) {
				if r != group[20] {
					t.Errorf("trouble after %d tries: %v is blamed on a record", after, err)
				}
				return false, nil
			},
			pause: func(int) error { trouble, after = false, -1; return nil },
		}
		if _, err := s.sift(group); err != nil {
			t.Fatal(err)
		}
	}
}

// A record that the client itself refuses is answered before the ones in front of it. The
// records that are sent again keep their order.
func TestSieveSortsRefusals(t *testing.T) {
	t.Parallel()
	a, b, c := &kgo.Record{Value: []byte("a")}, &kgo.Record{Value: []byte("b")}, &kgo.Record{Value: []byte("c")}
	var log []string
	first := true
	s := sieve{
		try: func(records []*kgo.Record) (refused []refusal, _ error) {
			if first {
				first = false
				return []refusal{{c, kerr.MessageTooLarge}, {a, kerr.InvalidRecord}, {b, kerr.InvalidRecord}}, nil
			}
			for _, r := range records {
				log = append(log, string(r.Value))
			}
			return nil, nil
		},
	}
	if _, err := s.sift([]*kgo.Record{a, b, c}); err != nil || !slices.Equal(log, []string{"a", "b", "c"}) {
		t.Errorf("got %q, %v", log, err)
	}
}

// If a later record was accepted, refused ones can't be sent again in their place.
func TestSieveNoticesDisorder(t *testing.T) {
	t.Parallel()
	a, b, c := &kgo.Record{}, &kgo.Record{}, &kgo.Record{}
	first := true
	s := sieve{
		try: func([]*kgo.Record) (refused []refusal, _ error) {
			if first {
				first = false
				return []refusal{{a, kerr.InvalidRecord}, {b, kerr.InvalidRecord}}, nil
			}
			return nil, nil
		},
	}
	if _, err := s.sift([]*kgo.Record{a, b, c}); !errors.Is(err, errDisorder) {
		t.Errorf("got %v", err)
	}
}
