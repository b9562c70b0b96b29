package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// patience bounds a test's wait for an event. Only a failing test takes that long.
const patience = 2 * time.Minute

// bench is a fetcher, and a fake cluster with a topic "in" of eight partitions.
type bench struct {
	*Fetcher
	t       *testing.T
	cl      *kgo.Client
	to      *inbox
	trouble chan error
}

func newBench(t *testing.T, memory int64, opts ...kgo.Opt) *bench {
	t.Helper()
	c := kafkatest.New(t, kfake.SeedTopics(8, "in"))
	b := &bench{t: t, to: newInbox(), trouble: make(chan error, 10), cl: c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))}
	var err error
	b.Fetcher, err = NewFetcher(FetcherConfig{
		Opts: append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
			kgo.FetchMaxWait(20 * time.Millisecond), kgo.FetchMaxPartitionBytes(10_000), kgo.MetadataMinAge(20 * time.Millisecond)}, opts...),
		Memory: memory, Trouble: func(_ *Feed, _ int64, err error) { b.trouble <- err }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return b
}

func (b *bench) produce(partition int32, n int) {
	b.t.Helper()
	for range n {
		b.cl.Produce(context.Background(), &kgo.Record{Topic: "in", Partition: partition, Value: make([]byte, 1000)}, nil)
	}
	if err := b.cl.Flush(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// next returns the next batches that have arrived.
func (b *bench) next() []batch {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		if batches := b.to.take(); len(batches) > 0 {
			return batches
		}
		select {
		case <-b.to.wake:
		case <-deadline:
			b.t.Fatal("nothing arrives")
		}
	}
}

func TestInputIsReadAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1<<20)
	b.produce(0, 100)
	for _, from := range []int64{0, 40, 7} {
		feed := b.open("in", 0, from, b.to)
		at := from
		for at < 100 {
			for _, got := range b.next() {
				got.feed.drained(got.bytes)
				if got.feed != feed {
					// The batch was on its way when the earlier feed was closed.
					continue
				}
				for _, in := range got.inputs {
					if in.Offset != at {
						t.Fatalf("from %d: offset %d, want %d", from, in.Offset, at)
					}
					at++
				}
				if got.next != at || feed.End() != 100 {
					t.Errorf("from %d: position %d, end %d", from, got.next, feed.End())
				}
			}
			if at > 60 && from == 0 {
				break // in the middle of the partition
			}
		}
		feed.close()
		feed.close() // closing twice is safe
	}
}

// A fetch that waits for quiet partitions does not delay one that is added meanwhile.
func TestAnAddedPartitionIsFetchedSoon(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1<<20, kgo.FetchMaxWait(2*patience))
	b.produce(1, 1)
	b.open("in", 1, 0, b.to)
	b.next() // the next fetch waits
	b.produce(0, 1)
	added := b.open("in", 0, 0, b.to)
	if got := b.next(); got[0].feed != added || len(got[0].inputs) != 1 {
		t.Errorf("got %d records of %s/%d", len(got[0].inputs), got[0].feed.Topic, got[0].feed.Partition)
	}
	b.produce(1, 1) // the quiet partition is still fetched
	if got := b.next(); got[0].feed.Partition != 1 || got[0].inputs[0].Offset != 1 {
		t.Errorf("got offset %d of partition %d", got[0].inputs[0].Offset, got[0].feed.Partition)
	}
}

func TestMarkersMoveThePosition(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1<<20)
	p, err := kgo.NewClient(kgo.SeedBrokers(b.cl.OptValue(kgo.SeedBrokers).([]string)...), kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(context.Background(), &kgo.Record{Topic: "in", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := p.EndTransaction(context.Background(), end); err != nil {
			t.Fatal(err)
		}
	}
	feed := b.open("in", 0, 0, b.to)
	records, next := 0, int64(0)
	for next < 4 {
		for _, got := range b.next() {
			records += len(got.inputs)
			next = got.next
		}
	}
	if records != 1 || next != 4 {
		t.Errorf("%d records, position %d; want 1 and 4", records, next)
	}
	feed.close()
}

func TestTroubleIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1<<20)
	b.produce(0, 10)
	var below kadm.Offsets
	below.AddOffset("in", 0, 5, -1)
	if _, err := kadm.NewClient(b.cl).DeleteRecords(context.Background(), below); err != nil {
		t.Fatal(err)
	}
	feed := b.open("in", 0, 2, b.to)
	select {
	case err := <-b.trouble:
		if !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("nothing was told")
	}
	b.Resume(feed, 5)
	got := b.next()
	// The task must not wait for earlier records.
	if len(got[0].inputs) != 0 || got[0].next != 5 {
		t.Errorf("the position came as %+v", got[0])
	}
	for got = got[1:]; len(got) == 0; {
		got = b.next()
	}
	if at := got[0].inputs[0].Offset; at != 5 {
		t.Errorf("went on at %d", at)
	}
}

// When the memory is used up, nothing is fetched until a worker has made room or waits
// for a partition.
func TestFetchingStopsAtTheBound(t *testing.T) {
	t.Parallel()
	const memory = 100_000
	b := newBench(t, memory)
	b.produce(0, 1000)
	b.produce(1, 10)
	first := b.open("in", 0, 0, b.to)
	var arrived []batch
	for b.Buffered() < memory {
		arrived = append(arrived, b.next()...)
	}
	second := b.open("in", 1, 0, b.to)
	for _, got := range append(arrived, b.to.take()...) {
		first.taken(got.bytes, first.held.Load()+got.bytes)
	}
	second.settle(0, true)
	for found := false; !found; {
		for _, got := range b.next() {
			found = found || got.feed == second
			got.feed.drained(got.bytes)
		}
	}
	second.settle(0, false)
	first.settle(0, false)
	rest := b.next() // still fetches
	if rest[0].feed != first {
		t.Error("the first partition is not fetched again")
	}
	first.close()
	second.close()
}

// A partition with many records has the memory for itself while the others have none. It
// must be fetched again before its task has nothing left.
func TestAHotPartitionIsFetchedInTime(t *testing.T) {
	t.Parallel()
	const memory = 100_000
	b := newBench(t, memory)
	b.produce(0, 1000)
	for p := range int32(7) {
		b.open("in", p+1, 0, b.to)
	}
	hot := b.open("in", 0, 0, b.to)
	for !hot.Paused() {
		for _, got := range b.next() {
			hot.taken(got.bytes, hot.held.Load()+got.bytes)
		}
	}
	for _, got := range b.to.take() {
		hot.taken(got.bytes, hot.held.Load()+got.bytes)
	}
	hot.settle(memory/5, false)
	if got := b.next(); got[0].feed != hot {
		t.Errorf("got records of partition %d", got[0].feed.Partition)
	}
}
