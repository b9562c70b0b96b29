package txn

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

func TestRefusedRecordIsAttributed(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: output, Err: kerr.MessageTooLarge})
		bad := &kgo.Record{Topic: output, Value: make([]byte, 5000)}
		p.Produce(&kgo.Record{Topic: output, Value: []byte("small")})
		p.Produce(bad)
		p.Produce(&kgo.Record{Topic: output, Value: []byte("small")})
		if r := refused(w, p, id); r.Record != bad || r.Topic != output || !errors.Is(r, kerr.MessageTooLarge) {
			t.Errorf("got %+v", r)
		}

		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: store, Err: kerr.InvalidRecord})
		bad = &kgo.Record{Topic: store}
		p.Produce(&kgo.Record{Topic: store, Key: []byte("k")})
		p.Produce(bad)
		if r := refused(w, p, id); r.Record != bad || r.Topic != store {
			t.Errorf("got %+v", r)
		}

		bad = &kgo.Record{Topic: "missing", Partition: -1, Value: []byte("x")}
		p.Produce(bad)
		if r := refused(w, p, id); r.Record != bad || r.Topic != "missing" || !errors.Is(r, kerr.UnknownTopicOrPartition) {
			t.Errorf("got %+v", r)
		}

		bad = &kgo.Record{Topic: output, Value: make([]byte, 2<<20)} // the client refuses it
		p.Produce(bad)
		if r := refused(w, p, id); r.Record != bad || !errors.Is(r, kerr.MessageTooLarge) {
			t.Errorf("got %+v", r)
		}

		produce(p, "a")
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		w.expect(1, "a")
	})
}

// A partition that the client does not know yet, of a topic that has grown, aborts the transaction, and is there in the replay.
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

// A batch may hold no more than what its topic accepts, however small each record is.
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

func BenchmarkProduce(b *testing.B) {
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, output, store), kfake.BlackholeProduce())
	defer c.Close()
	p, err := New(background, Config{Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, TransactionalID: "app-1", Group: group})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	if err := p.Init(background); err != nil {
		b.Fatal(err)
	}
	p.Track(store)
	records := make([]kgo.Record, b.N)
	value := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range records {
		r := &records[i]
		r.Topic, r.Value = store, value
		p.Produce(r)
	}
	if err := p.flush(background); err != nil {
		b.Fatal(err)
	}
}
