package txn

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds the test's wait for an event on a real broker. Only a failing test
// takes that long.
const patience = 5 * time.Minute

// TestRealBroker checks behaviour that a fake broker does not have: markers that are
// still being written, the offsets topic, and the checks of the group coordinator.
func TestRealBroker(t *testing.T) {
	brokers := os.Getenv("MILLRACE_BROKERS")
	if brokers == "" {
		t.Skip("needs a real Kafka broker, as TestPartsOnRealKafka in integration has one: set MILLRACE_BROKERS to its address")
	}
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admin := kadm.NewClient(cl)
	app := "txn-" + strings.ToLower(rand.Text())
	in, out := app+"-in", app+"-out"
	created, err := admin.CreateTopics(ctx, 1, 1, nil, in, out)
	must(err)
	must(created.Error())
	defer admin.DeleteTopics(background, in, out)

	producer := func(id string) *Producer {
		t.Helper()
		p, err := New(ctx, Config{Opts: opts, TransactionalID: app + id, Group: app, TransactionTimeout: patience})
		must(err)
		t.Cleanup(p.Close)
		must(p.Init(ctx))
		p.Track(out)
		return p
	}
	commit := func(p *Producer, id Identity, offset int64, values ...string) (Result, error) {
		for _, v := range values {
			p.Produce(&kgo.Record{Topic: out, Value: []byte(v)})
		}
		return p.Commit(ctx, id, []OffsetCommit{{Topic: in, Offset: offset, LeaderEpoch: -1, Metadata: "m"}})
	}
	expect := func(wantOffset int64, wantStable bool) {
		t.Helper()
		fetched, err := admin.FetchOffsets(kadm.RequireStable(ctx), app)
		must(err)
		if o, ok := fetched.Lookup(in, 0); !ok && wantOffset >= 0 || ok && o.At != wantOffset {
			t.Errorf("committed %d, want %d", o.At, wantOffset)
		}
		ends, err := admin.ListEndOffsets(ctx, out)
		must(err)
		stable, err := admin.ListCommittedOffsets(ctx, out)
		must(err)
		end, _ := ends.Lookup(out, 0)
		last, _ := stable.Lookup(out, 0)
		if (end.Offset == last.Offset) != wantStable {
			t.Errorf("high watermark %d, last stable offset %d", end.Offset, last.Offset)
		}
	}
	outcome := func(err error, want Outcome) {
		t.Helper()
		if got := OutcomeOf(err); got != want {
			t.Fatalf("got %v (%v), want %v", got, err, want)
		}
	}

	member, err := kgo.NewClient(append(opts, kgo.ConsumerGroup(app), kgo.ConsumeTopics(in), kgo.DisableAutoCommit(), kgo.FetchMaxWait(100*time.Millisecond))...)
	must(err)
	defer member.Close()
	var id Identity
	expectEventually(t, func() bool {
		id.MemberID, id.Generation = member.GroupMetadata()
		return id.MemberID != "" && id.Generation > 0
	})
	p := producer("-1")
	t.Logf("AddOffsetsToTxn needed: %v", p.addsOffsets)
	for i := range 50 {
		result, err := commit(p, id, int64(i+1), "a", "b")
		must(err)
		if got, want := result.Positions[out][0], int64(3*i+2); got != want {
			t.Fatalf("position %d, want %d", got, want)
		}
	}
	_, err = commit(p, id, 60)
	must(err)

	// The next transaction begins right after an abort, while the markers of the aborted
	// one are being written.
	for i := range 10 {
		_, err = commit(p, Identity{MemberID: id.MemberID, Generation: id.Generation - 1}, 999, "never")
		outcome(err, Fenced)
		_, err = commit(p, id, int64(61+i), "c")
		must(err)
	}
	_, err = commit(p, Identity{MemberID: "somebody", Generation: id.Generation}, 999, "never")
	outcome(err, Fenced)
	_, err = commit(p, Identity{}, 999, "never")
	outcome(err, Fenced)
	_, err = commit(p, Identity{MemberID: id.MemberID, Generation: id.Generation - 1}, 999)
	outcome(err, Fenced)
	p.Produce(&kgo.Record{Topic: out, Value: []byte("without offsets")})
	_, err = p.Commit(ctx, id, nil)
	must(err)
	expectEventually(t, func() bool { return stable(ctx, admin, out) })
	expect(70, true)

	// A process dies inside its transaction. The next start fences its ID.
	zombie := producer("-2")
	zombie.Produce(&kgo.Record{Topic: out, Value: []byte("never")})
	must(zombie.flush(ctx))
	must(zombie.joinOffsets(ctx, id, []OffsetCommit{{Topic: in, Offset: 888, LeaderEpoch: -1}}))
	if stable(ctx, admin, out) {
		t.Error("no open transaction")
	}
	start := time.Now()
	must(Fence(ctx, opts, []string{app + "-1", app + "-2", app + "-3"}))
	t.Logf("fenced in %v", time.Since(start))
	expectEventually(t, func() bool { return stable(ctx, admin, out) })
	expect(70, true)
	_, err = commit(zombie, id, 889, "never")
	if o := OutcomeOf(err); o != Fatal && o != Unknown || !zombie.Dead() {
		t.Errorf("zombie: %v, dead %v", err, zombie.Dead())
	}
	expectEventually(t, func() bool { return stable(ctx, admin, out) })
	expect(70, true)
	p = producer("-1")
	_, err = commit(p, id, 71, "d")
	must(err)

	atLeastOnce, err := New(ctx, Config{Opts: opts, Group: app})
	must(err)
	defer atLeastOnce.Close()
	must(atLeastOnce.Init(ctx))
	atLeastOnce.Produce(&kgo.Record{Topic: out, Value: []byte("e")})
	must(atLeastOnce.Flush(ctx))
	must(atLeastOnce.CommitOffsets(ctx, id, []OffsetCommit{{Topic: in, Offset: 72, LeaderEpoch: -1}}))
	expect(72, true)

	// The records that a read_committed consumer sees in the end.
	want := 50*2 + 10 + 1 + 1 + 1
	ends, err := admin.ListEndOffsets(ctx, out)
	must(err)
	end, _ := ends.Lookup(out, 0)
	reader, err := kgo.NewClient(append(opts, kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{out: {0: kgo.NewOffset().At(0)}}))...)
	must(err)
	defer reader.Close()
	seen := 0
	for next := int64(0); next < end.Offset; {
		fetches := reader.PollFetches(ctx)
		must(fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			seen++
			if string(r.Value) == "never" {
				t.Error("an aborted record is visible")
			}
		})
	}
	if seen != want {
		t.Errorf("%d records, want %d", seen, want)
	}
}

func stable(ctx context.Context, admin *kadm.Client, topic string) bool {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		panic(fmt.Sprint("listing end offsets: ", err))
	}
	committed, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		panic(fmt.Sprint("listing committed offsets: ", err))
	}
	end, _ := ends.Lookup(topic, 0)
	last, _ := committed.Lookup(topic, 0)
	return end.Offset == last.Offset
}

// expectEventually polls until f returns true: a real broker writes markers
// asynchronously.
func expectEventually(t *testing.T, f func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not so after %v", patience)
		}
	}
}
