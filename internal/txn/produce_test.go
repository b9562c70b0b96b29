package txn

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/batchsize"
)

// refused commits p's transaction, which must abort because of one record.
func refused(w *world, p *Producer, id Identity) *RefusedError {
	w.Helper()
	_, err := p.Commit(background, id, at(1))
	w.outcome(err, Aborted)
	var r *RefusedError
	var e *Error
	if !errors.As(err, &r) || !errors.As(err, &e) || !e.Permanent() {
		w.Fatalf("got %v", err)
	}
	return r
}

// The first refusal names the topic and aborts. After that, refused records are found,
// and the other records are committed.
func TestRefusedRecords(t *testing.T) {
	inWorld(t, func(w *world) {
		caution := new(Caution)
		p, id := w.producer("app-1", func(c *Config) { c.Caution = caution }), w.join("")
		w.refuseValue("bad", kerr.InvalidTimestamp)
		values := []string{"a", "bad", "b", "c", "bad", "bad", "d"}
		produce(p, values...)
		if r := refused(w, p, id); !errors.Is(r, kerr.InvalidTimestamp) {
			t.Errorf("got %+v", r)
		}
		caution.Distrust()

		produce(p, values...)
		var judged []string
		w.must(p.Settle(background, func(r *kgo.Record, err error) (bool, error) {
			if !errors.Is(err, kerr.InvalidTimestamp) {
				t.Error(err)
			}
			judged = append(judged, r.Topic+"="+string(r.Value))
			return false, nil
		}))
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		slices.Sort(judged)
		if want := []string{store + "=bad", store + "=bad", store + "=bad", "out=bad", "out=bad", "out=bad"}; !slices.Equal(judged, want) {
			t.Errorf("judged %q, want %q", judged, want)
		}
		w.expect(1, "a", "b", "c", "d")

		// If all records of a transaction are refused, its offsets are still committed.
		produce(p, "bad")
		w.must(p.Settle(background, func(*kgo.Record, error) (bool, error) { return false, nil }))
		_, err = p.Commit(background, id, at(2))
		w.must(err)
		w.expect(2, "a", "b", "c", "d")
		produce(p, "e")
		_, err = p.Commit(background, id, at(3))
		w.must(err)
		w.expect(3, "a", "b", "c", "d", "e")

		// Without a judge, a refusal aborts.
		produce(p, "bad")
		if r := refused(w, p, id); !errors.Is(r, kerr.InvalidTimestamp) {
			t.Errorf("got %+v", r)
		}
	})
}

// A missing topic, and a record that the client refuses, are refusals too.
func TestRefusalsOfTheClient(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		p.Produce(&kgo.Record{Topic: "missing", Partition: -1, Value: []byte("x")})
		if r := refused(w, p, id); r.Topic != "missing" || !errors.Is(r, kerr.UnknownTopicOrPartition) {
			t.Errorf("got %+v", r)
		}
		p.Produce(&kgo.Record{Topic: output, Value: make([]byte, 2<<20)})
		if r := refused(w, p, id); r.Topic != output || !errors.Is(r, kerr.MessageTooLarge) {
			t.Errorf("got %+v", r)
		}
		produce(p, "a")
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		w.expect(1, "a")
	})
}

// slowly waits in front of one of the records that a client buffers, until the client has
// sent the records before and can do nothing more.
type slowly struct{ before, buffered int }

func (s *slowly) OnProduceRecordBuffered(*kgo.Record) {
	if s.buffered++; s.buffered == s.before {
		synctest.Wait()
	}
}

// A batch is refused while the rest of its group is still being handed to the client. The
// rest is not accepted in front of it.
func TestRefusalWhileTheGroupIsProduced(t *testing.T) {
	for name, limits := range map[string][]kgo.Opt{
		"unlimited": nil, "records": {kgo.MaxBufferedRecords(20)}, "bytes": {kgo.MaxBufferedBytes(40)},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				caution := new(Caution)
				p, id := w.producer("app-1", func(c *Config) {
					c.Caution = caution
					c.Opts = slices.Concat(c.Opts, limits, []kgo.Opt{kgo.WithHooks(&slowly{before: 15})})
				}), w.join("")
				w.refuseValue("bad", kerr.InvalidRecord)
				produce(p, "first") // the client knows the topics from now on
				w.must(p.Flush(background))
				caution.Distrust()
				values := strings.Split("a bad b c d e f g h i j k l m n o p q bad r s t u v w", " ")
				produce(p, values...)
				w.must(p.Settle(background, func(*kgo.Record, error) (bool, error) { return false, nil }))
				_, err := p.Commit(background, id, at(1))
				w.must(err)
				w.expect(1, strings.Split("first a b c d e f g h i j k l m n o p q r s t u v w", " ")...)
			})
		})
	}
}

// A hundred refused records among ten thousand cost one abort.
func TestManyRefusalsCostOneAbort(t *testing.T) {
	inWorld(t, func(w *world) {
		caution := new(Caution)
		p, id := w.producer("app-1", func(c *Config) { c.Caution = caution }), w.join("")
		w.refuseValue("bad", kerr.InvalidRecord)
		fill := func() (judged int) {
			for i := range 10_000 {
				r := &kgo.Record{Topic: output, Partition: int32(i % 3), Value: fmt.Append(nil, i)}
				if i%100 == 7 {
					r.Value = []byte("bad")
				}
				p.Produce(r)
			}
			w.must(p.Settle(background, func(*kgo.Record, error) (bool, error) { judged++; return false, nil }))
			return judged
		}
		fill()
		refused(w, p, id)
		caution.Distrust()
		if judged := fill(); judged != 100 {
			t.Errorf("%d judged, want 100", judged)
		}
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		if n := len(w.visible()); n != 9900 {
			t.Errorf("%d records, want 9900", n)
		}
	})
}

// After enough records without a refusal, topics are written as before.
func TestTrustComesBack(t *testing.T) {
	t.Parallel()
	c := new(Caution)
	c.Distrust()
	if !c.of("a") || !c.of("b") {
		t.Fatal("trusted at once")
	}
	c.sifted(map[string]int{"a": trustAfter, "b": trustAfter - 1}, nil)
	c.committed()
	if !c.Any() {
		t.Error("trusted too early")
	}
	if c.of("a") {
		t.Error("a has earned its trust")
	}
	c.sifted(map[string]int{"b": 1}, nil)
	if !c.of("b") {
		t.Error("trusted within a transaction")
	}
	c.committed()
	if c.Any() || c.of("a") {
		t.Error("never trusted again")
	}
}

// A search that takes longer than the transaction allows ends it, so that the next one
// can be smaller.
func TestSearchTakesTooLong(t *testing.T) {
	inWorld(t, func(w *world) {
		caution, now := new(Caution), time.Now()
		caution.Distrust()
		p, id := w.producer("app-1", func(c *Config) {
			c.Caution = caution
			c.Now = func() time.Time { now = now.Add(c.TransactionTimeout / 20); return now }
			c.TransactionTimeout = 10 * time.Second
		}), w.join("")
		w.refuseValue("bad", kerr.InvalidRecord)
		for range 100 {
			produce(p, "bad")
		}
		w.must(p.Settle(background, func(*kgo.Record, error) (bool, error) { return false, nil }))
		_, err := p.Commit(background, id, at(1))
		w.outcome(err, Aborted)
		var e *Error
		if !errors.Is(err, ErrSlow) || !errors.As(err, &e) || e.Permanent() {
			t.Errorf("got %v", err)
		}
	})
}

// A record is larger than a batch may be, but not when it is compressed. The next
// producer lets it through. Batches of other records stay small.
func TestLargeRecordThatCompresses(t *testing.T) {
	inWorld(t, func(w *world) {
		caution := new(Caution)
		cautious := func(c *Config) {
			c.Caution = caution
			c.BatchMaxBytes = func(string) int32 { return 1 << 20 }
		}
		id := w.join("")
		large := &kgo.Record{Topic: output, Value: bytes.Repeat([]byte("x"), 3<<20)}
		p := w.producer("app-1", cautious)
		if n := p.Compressed(large); n > 1<<20 || n < 1000 {
			t.Errorf("compressed to %d bytes", n)
		}
		p.Widen(output)
		if err := p.Err(); !errors.Is(err, ErrNarrow) {
			t.Errorf("got %v", err)
		}
		w.must(p.Abort(background))
		p.Close()
		p = w.producer("app-1", cautious)
		var batches atomic.Int64
		for range 40 { // together they are too large
			random := make([]byte, 100<<10)
			_, _ = rand.Read(random)
			p.Produce(&kgo.Record{Topic: output, Value: random})
		}
		p.Produce(large)
		w.must(p.Settle(background, func(r *kgo.Record, err error) (bool, error) { batches.Add(1); return false, err }))
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		if n := len(w.visible()); n != 41 {
			t.Errorf("%d records, want 41", n)
		}
	})
}

func TestCompressedIsTheSizeOfTheBatch(t *testing.T) {
	inWorld(t, func(w *world) {
		var sizes []int
		hook := batchSizes(func(n int) { sizes = append(sizes, n) })
		p, id := w.producer("app-1", func(c *Config) { c.Opts = append(c.Opts, kgo.WithHooks(hook)) }), w.join("")
		for i := range 3 {
			r := &kgo.Record{Topic: output, Key: []byte("k"), Value: bytes.Repeat([]byte("abc"), 1000*i), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
			want := p.Compressed(r)
			p.Produce(r)
			_, err := p.Commit(background, id, at(int64(i)))
			w.must(err)
			synctest.Wait()
			if len(sizes) != i+1 || batchsize.Overhead+sizes[i] != want {
				t.Errorf("said %d, was %v", want, sizes)
			}
		}
	})
}

type batchSizes func(int)

func (f batchSizes) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.ProduceBatchMetrics) {
	f(m.CompressedBytes)
}

// A topic has grown, and the client does not know the new partition yet. A record for it
// aborts the transaction. In the replay, the client knows the partition.
func TestPartitionOfAGrownTopic(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		produce(p, "a")
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		_, err = kadm.NewClient(w.admin).UpdatePartitions(background, 4, output)
		w.must(err)

		for aborts := 0; ; aborts++ {
			p.Produce(&kgo.Record{Topic: output, Partition: 3, Value: []byte("b")})
			_, err := p.Commit(background, id, at(2))
			if err == nil {
				break
			}
			w.outcome(err, Aborted)
			var e *Error
			if !errors.As(err, &e) || e.Permanent() || aborts > 100 {
				t.Fatalf("got %v", err)
			}
			<-time.After(10 * time.Millisecond)
		}
		if got := w.cluster.PartitionInfo(output, 3).HighWatermark; got != 2 {
			t.Errorf("the new partition ends at %d", got)
		}
	})
}

func TestErrShowsAFailureBeforeTheCommit(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.producer("app-1")
		produce(p, "a")
		if p.Err() != nil {
			t.Error(p.Err())
		}
		p.Produce(&kgo.Record{Topic: output, Partition: 99})
		w.must(p.cl.Flush(background))
		if p.Err() == nil {
			t.Error("no failure")
		}
		w.must(p.Abort(background))
		if p.Err() != nil {
			t.Error(p.Err())
		}
	})
}

// A batch must not exceed the topic's limit, however small each record is.
func TestBatchesKeepToTheTopicsLimit(t *testing.T) {
	inWorld(t, func(w *world) {
		w.must(w.cluster.CreateTopic("narrow", 1, map[string]string{"max.message.bytes": "4096"}))
		fill := func(p *Producer) {
			for i := range 200 {
				p.Produce(&kgo.Record{Topic: "narrow", Value: fmt.Appendf(nil, "%0100d", i)})
			}
		}
		uncompressed := func(c *Config) {
			c.Opts = append(c.Opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
		}
		id := w.join("")
		p := w.producer("app-1", uncompressed, func(c *Config) {
			c.BatchMaxBytes = func(topic string) int32 {
				if topic == "narrow" {
					return 4096
				}
				return 0
			}
		})
		fill(p)
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		if got := w.cluster.PartitionInfo("narrow", 0).HighWatermark; got < 200 {
			t.Errorf("%d records", got)
		}
	})
}

func TestPartitions(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		for i := range 3 {
			p.Produce(&kgo.Record{Topic: output, Partition: int32(i), Key: []byte("same key"), Value: []byte("x")})
		}
		p.Produce(&kgo.Record{Topic: store, Partition: -1, Key: []byte("rmoff")})
		p.Produce(&kgo.Record{Topic: input, Partition: -1})
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		for i := range 3 {
			if got := w.cluster.PartitionInfo(output, int32(i)).HighWatermark; got != 2 {
				t.Errorf("output %d: %d", i, got)
			}
		}
		want := int32(kgo.StickyKeyPartitioner(nil).ForTopic(store).Partition(&kgo.Record{Key: []byte("rmoff")}, 3))
		if got := w.cluster.PartitionInfo(store, want).HighWatermark; got != 2 {
			t.Errorf("keyed record not in partition %d", want)
		}
	})
}

func TestProducingThroughADeadProducerFails(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		p.Close()
		produce(p, "a")
		_, err := p.Commit(background, id, at(1))
		w.outcome(err, Fatal)
		w.outcome(p.Abort(background), Fatal)
		w.expect(-1)
	})
}
