package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/seedtest"
)

var background = context.Background()

const changelog = "app-counts-changelog"

// world is a cluster on a virtual network inside a synctest bubble, so that waiting takes
// no time.
type world struct {
	*testing.T
	cluster *kafkatest.Cluster
}

func inWorld(t *testing.T, partitions int32, f func(*world)) {
	t.Helper()
	t.Parallel()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) { f(&world{t, c}) }, kfake.SeedTopics(partitions, changelog))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) restorer(change ...func(*Config)) *Restorer {
	w.Helper()
	cfg := Config{Opts: w.cluster.Options()}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	w.must(err)
	w.Cleanup(r.Close)
	return r
}

// producer makes a producer. It is transactional unless id is empty.
func (w *world) producer(id string, opts ...kgo.Opt) *kgo.Client {
	w.Helper()
	opts = append(append(w.cluster.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner())), opts...)
	if id != "" {
		opts = append(opts, kgo.TransactionalID(id))
	}
	cl, err := kgo.NewClient(opts...)
	w.must(err)
	w.Cleanup(cl.Close)
	return cl
}

// begin writes the values to a partition inside a transaction that stays open.
func (w *world) begin(p *kgo.Client, partition int32, values ...string) {
	w.Helper()
	w.must(p.BeginTransaction())
	w.write(p, partition, values...)
}

func (w *world) write(p *kgo.Client, partition int32, values ...string) {
	w.Helper()
	for _, v := range values {
		w.must(p.ProduceSync(background, &kgo.Record{Topic: changelog, Partition: partition, Key: []byte(v), Value: []byte(v)}).FirstErr())
	}
}

func (w *world) end(p *kgo.Client, try kgo.TransactionEndTry) {
	w.Helper()
	w.must(p.EndTransaction(background, try))
}

// restored is the result of one Restore, by index of the partition.
type restored struct {
	values [][]string
	next   []int64
	done   []int
	errs   []error
	most   int // largest number of records in one call of the sink
	err    error
}

func restore(ctx context.Context, r *Restorer, parts ...Partition) *restored {
	got := &restored{values: make([][]string, len(parts)), next: make([]int64, len(parts)), errs: make([]error, len(parts))}
	sink := func(p int, records []*kgo.Record, next int64) error {
		got.most = max(got.most, len(records))
		for _, r := range records {
			got.values[p] = append(got.values[p], string(r.Value))
		}
		got.next[p] = next
		return nil
	}
	done := func(p int, next int64, err error) {
		got.done = append(got.done, p)
		got.next[p], got.errs[p] = next, err
	}
	got.err = r.Restore(ctx, parts, sink, done, nil)
	return got
}

func (w *world) expect(got *restored, p int, next int64, values ...string) {
	w.Helper()
	if got.errs[p] != nil {
		w.Errorf("partition %d: %v", p, got.errs[p])
	}
	if !slices.Equal(got.values[p], values) || got.next[p] != next {
		w.Errorf("partition %d: got %q up to %d, want %q up to %d", p, got.values[p], got.next[p], values, next)
	}
	if !slices.Contains(got.done, p) {
		w.Errorf("partition %d is not done", p)
	}
}

func TestNothingToRestoreIsNotAHang(t *testing.T) {
	inWorld(t, 2, func(w *world) {
		fetches := 0
		w.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			fetches++
			return nil, nil, false
		})
		p := w.producer("tx")
		w.begin(p, 1, "a", "b")
		w.end(p, kgo.TryCommit)
		r := w.restorer()
		got := restore(background, r, Partition{Topic: changelog, From: -1}, Partition{Topic: changelog, Partition: 1, From: 3})
		w.must(got.err)
		w.expect(got, 0, 0)
		w.expect(got, 1, 3)
		w.must(restore(background, r).err)
		if fetches != 0 {
			t.Errorf("%d fetches", fetches)
		}
	})
}

func TestTrailingMarkers(t *testing.T) {
	for name, try := range map[string]kgo.TransactionEndTry{"commit": kgo.TryCommit, "abort": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(w *world) {
				p := w.producer("tx")
				w.begin(p, 0, "a", "b")
				w.end(p, try)
				want := []string{"a", "b"}
				if !try {
					want = nil
				}
				r := w.restorer()
				got := restore(background, r, Partition{Topic: changelog, From: -1})
				w.must(got.err)
				w.expect(got, 0, 3, want...)
				// the marker alone
				got = restore(background, r, Partition{Topic: changelog, From: 2})
				w.must(got.err)
				w.expect(got, 0, 3)
			})
		})
	}
}

func TestWaitsForAnOpenTransaction(t *testing.T) {
	for name, try := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(w *world) {
				first, second := w.producer("tx-1"), w.producer("tx-2", kgo.TransactionTimeout(40*time.Second))
				w.begin(first, 0, "a")
				w.end(first, kgo.TryCommit)
				w.begin(second, 0, "open")
				w.write(w.producer(""), 1, "other")
				wait := 20 * time.Second
				go func() {
					<-time.After(wait) // virtual
					_ = second.EndTransaction(background, try)
				}()
				start := time.Now()
				r := w.restorer()
				var first1 time.Duration
				err := r.Restore(background, []Partition{{Topic: changelog, From: -1}, {Topic: changelog, Partition: 1, From: -1}},
					func(int, []*kgo.Record, int64) error { return nil },
					func(p int, next int64, err error) {
						if p == 1 {
							first1 = time.Since(start)
						}
					}, nil)
				w.must(err)
				if took := time.Since(start); took < wait || first1 >= wait {
					t.Errorf("took %v; the other partition %v", took, first1)
				}
				got := restore(background, r, Partition{Topic: changelog, From: -1})
				w.must(got.err)
				if try {
					w.expect(got, 0, 4, "a", "open")
				} else {
					w.expect(got, 0, 4, "a")
				}
			})
		})
	}
}

func TestEndsAtTheHighWatermarkOfItsStart(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		p := w.producer("")
		w.write(p, 0, "a", "b", "c")
		r := w.restorer(func(c *Config) { c.BatchRecords = 1 })
		var values []string
		err := r.Restore(background, []Partition{{Topic: changelog, From: -1}}, func(_ int, records []*kgo.Record, _ int64) error {
			for _, rec := range records {
				values = append(values, string(rec.Value))
			}
			w.write(p, 0, "later")
			return nil
		}, nil, nil)
		w.must(err)
		if !slices.Equal(values, []string{"a", "b", "c"}) {
			t.Errorf("got %q", values)
		}
	})
}

func TestOutOfRange(t *testing.T) {
	inWorld(t, 2, func(w *world) {
		p := w.producer("")
		w.write(p, 0, "a", "b", "c", "d")
		w.write(p, 1, "x")
		w.must(w.cluster.DeleteRecords(changelog, 0, 2))
		r := w.restorer()
		for _, from := range []int64{0, 1, 5} {
			got := restore(background, r, Partition{Topic: changelog, From: from}, Partition{Topic: changelog, Partition: 1, From: -1})
			var e *OutOfRangeError
			if !errors.As(got.err, &e) || !errors.Is(got.errs[0], ErrOutOfRange) || *e != (OutOfRangeError{changelog, 0, from, 2, 4}) {
				t.Errorf("from %d: %v", from, got.err)
			}
			w.expect(got, 1, 1, "x")
		}
		got := restore(background, r, Partition{Topic: changelog, From: -1})
		w.must(got.err)
		w.expect(got, 0, 4, "c", "d")
	})
}

// The log start moves beyond the position after the range was queried.
func TestOutOfRangeWhileReading(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		w.write(w.producer(""), 0, "a", "b", "c")
		w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			fetch := req.(*kmsg.FetchRequest)
			resp := fetch.ResponseKind().(*kmsg.FetchResponse)
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = changelog, w.cluster.TopicInfo(changelog).TopicID
			partition := kmsg.NewFetchResponseTopicPartition()
			partition.ErrorCode = kerr.OffsetOutOfRange.Code
			topic.Partitions = append(topic.Partitions, partition)
			resp.Topics = append(resp.Topics, topic)
			return resp, nil, true
		})
		got := restore(background, w.restorer(), Partition{Topic: changelog, From: 0})
		if !errors.Is(got.err, ErrOutOfRange) {
			t.Errorf("got %v", got.err)
		}
	})
}

func TestTopicIdentity(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		w.write(w.producer(""), 0, "a")
		r := w.restorer()
		ids, err := r.TopicIDs(background, changelog, "missing")
		w.must(err)
		if len(ids) != 1 || ids[changelog] == (TopicID{}) {
			t.Fatalf("got %v", ids)
		}
		got := restore(background, r, Partition{Topic: changelog, From: -1, TopicID: ids[changelog]})
		w.must(got.err)
		w.expect(got, 0, 1, "a")

		w.must(w.cluster.DeleteTopic(changelog))
		got = restore(background, r, Partition{Topic: changelog, From: -1, TopicID: ids[changelog]})
		if !errors.Is(got.err, ErrMissing) {
			t.Errorf("deleted: %v", got.err)
		}
		w.must(w.cluster.CreateTopic(changelog, 1, nil))
		w.write(w.producer(""), 0, "b")
		got = restore(background, r, Partition{Topic: changelog, From: 1, TopicID: ids[changelog]})
		var e *RecreatedError
		if !errors.As(got.err, &e) || e.Was != ids[changelog] || e.Is == e.Was {
			t.Errorf("recreated: %v", got.err)
		}
		got = restore(background, r, Partition{Topic: changelog, Partition: 7, From: -1})
		if !errors.Is(got.err, ErrMissing) {
			t.Errorf("missing partition: %v", got.err)
		}
	})
}

// Restore waits for a topic that another process is creating.
func TestTopicThatAppears(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		go func() {
			<-time.After(2 * time.Second) // virtual
			_ = w.cluster.CreateTopic("late", 1, nil)
		}()
		got := restore(background, w.restorer(), Partition{Topic: "late", From: -1})
		w.must(got.err)
		w.expect(got, 0, 0)
	})
}

func TestOffsets(t *testing.T) {
	inWorld(t, 2, func(w *world) {
		w.write(w.producer(""), 1, "a", "b", "c")
		w.must(w.cluster.DeleteRecords(changelog, 1, 1))
		ranges, err := w.restorer().Offsets(background, []Partition{{Topic: changelog, Partition: 1}, {Topic: changelog}, {Topic: "missing"}})
		w.must(err)
		id := TopicID(w.cluster.TopicInfo(changelog).TopicID)
		if want := (Range{Start: 1, HighWatermark: 3, TopicID: id}); ranges[0] != want {
			t.Errorf("got %+v, want %+v", ranges[0], want)
		}
		if want := (Range{TopicID: id}); ranges[1] != want {
			t.Errorf("got %+v, want %+v", ranges[1], want)
		}
		if !errors.Is(ranges[2].Err, ErrMissing) {
			t.Errorf("got %+v", ranges[2])
		}
	})
}

func TestFailingSinkEndsItsPartitionOnly(t *testing.T) {
	inWorld(t, 2, func(w *world) {
		p := w.producer("")
		w.write(p, 0, "a")
		w.write(p, 1, "b")
		full := errors.New("disk full")
		var ended = make([]error, 2)
		err := w.restorer().Restore(background, []Partition{{Topic: changelog, From: -1}, {Topic: changelog, Partition: 1, From: -1}},
			func(p int, _ []*kgo.Record, _ int64) error {
				if p == 0 {
					return full
				}
				return nil
			},
			func(p int, _ int64, err error) { ended[p] = err }, nil)
		if !errors.Is(err, full) || !errors.Is(ended[0], full) || ended[1] != nil {
			t.Errorf("got %v; %v", err, ended)
		}
	})
}

func TestCancelled(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		w.begin(w.producer("tx"), 0, "open")
		ctx, cancel := context.WithTimeout(background, time.Second) // virtual
		defer cancel()
		got := restore(ctx, w.restorer(), Partition{Topic: changelog, From: -1})
		if !errors.Is(got.err, context.DeadlineExceeded) || len(got.done) != 0 {
			t.Errorf("got %v, done %v", got.err, got.done)
		}
	})
}

func TestManyPartitions(t *testing.T) {
	const n = 256
	inWorld(t, n, func(w *world) {
		p := w.producer("tx")
		w.must(p.BeginTransaction())
		want := make([][]string, n)
		for i := range 20 * n {
			partition := i % n
			if partition%5 == 0 {
				continue // some are empty
			}
			v := fmt.Sprint(i)
			want[partition] = append(want[partition], v)
			p.Produce(background, &kgo.Record{Topic: changelog, Partition: int32(partition), Value: []byte(v)}, nil)
		}
		w.must(p.Flush(background))
		w.end(p, kgo.TryCommit)
		parts := make([]Partition, n)
		for i := range parts {
			parts[i] = Partition{Topic: changelog, Partition: int32(i), From: -1}
		}
		got := restore(background, w.restorer(), parts...)
		w.must(got.err)
		for i := range parts {
			next := int64(len(want[i]))
			if next > 0 {
				next++
			}
			w.expect(got, i, next, want[i]...)
		}
	})
}

// Two producers write random transactions to three partitions; some are aborted. A
// restore from any position returns what the model predicts, in batches within the
// limits.
func TestAgainstModel(t *testing.T) {
	seedtest.Run(t, 5, func(t *testing.T, seed uint64) {
		const n = 3
		inWorld(t, n, func(w *world) {
			rng := rand.New(rand.NewPCG(seed, 1))
			type entry struct {
				offset int64
				value  string
			}
			var committed [n][]entry
			producers := []*kgo.Client{w.producer("tx-0"), w.producer("tx-1")}
			open := make([]map[int32][]entry, 2)
			finish := func(i int) {
				try := kgo.TransactionEndTry(rng.IntN(3) > 0)
				w.end(producers[i], try)
				if try {
					for p, entries := range open[i] {
						committed[p] = append(committed[p], entries...)
					}
				}
				open[i] = nil
			}
			for step := range 200 {
				i := rng.IntN(2)
				if open[i] == nil {
					w.must(producers[i].BeginTransaction())
					open[i] = make(map[int32][]entry)
				}
				for range 1 + rng.IntN(5) {
					r := &kgo.Record{Topic: changelog, Partition: int32(rng.IntN(n)), Value: bytes.Repeat([]byte{'v'}, 1+rng.IntN(20))}
					r.Value = fmt.Appendf(r.Value, "%d", step)
					w.must(producers[i].ProduceSync(background, r).FirstErr())
					open[i][r.Partition] = append(open[i][r.Partition], entry{r.Offset, string(r.Value)})
				}
				if rng.IntN(3) == 0 {
					finish(i)
				}
			}
			for i := range open {
				if open[i] != nil {
					finish(i)
				}
			}
			for _, limits := range []Config{{}, {BatchRecords: 7}, {FetchBytes: 50}} {
				r := w.restorer(func(c *Config) { c.BatchRecords, c.FetchBytes = limits.BatchRecords, limits.FetchBytes })
				var parts []Partition
				want := make([][]string, n)
				for p := range int32(n) {
					end := w.cluster.PartitionInfo(changelog, p).HighWatermark
					from := rng.Int64N(end + 1)
					parts = append(parts, Partition{Topic: changelog, Partition: p, From: from})
					slices.SortFunc(committed[p], func(a, b entry) int { return int(a.offset - b.offset) })
					for _, e := range committed[p] {
						if e.offset >= from {
							want[p] = append(want[p], e.value)
						}
					}
				}
				got := restore(background, r, parts...)
				w.must(got.err)
				for p := range n {
					w.expect(got, p, w.cluster.PartitionInfo(changelog, int32(p)).HighWatermark, want[p]...)
				}
				if limits.BatchRecords > 0 && got.most > limits.BatchRecords {
					t.Errorf("%d records at once", got.most)
				}
			}
		})
	})
}

func TestProgress(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		w.write(w.producer(""), 0, "a", "b", "c", "d")
		var last Progress
		err := w.restorer(func(c *Config) { c.BatchRecords = 2 }).Restore(background, []Partition{{Topic: changelog, From: -1}},
			func(int, []*kgo.Record, int64) error { return nil }, nil,
			func(p Progress) {
				if p.Position <= last.Position || p.Records <= last.Records {
					t.Errorf("%+v after %+v", p, last)
				}
				last = p
			})
		w.must(err)
		if last.Position != 4 || last.End != 4 || last.Records != 4 || last.Bytes != 8 || last.Partition.Topic != changelog {
			t.Errorf("got %+v", last)
		}
	})
}
