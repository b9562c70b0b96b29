package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRealBroker checks behaviour that a fake broker does not have: markers that are
// written after the answer to the commit, and the start of a real log.
func TestRealBroker(t *testing.T) {
	brokers := os.Getenv("MILLRACE_BROKERS")
	if brokers == "" {
		t.Skip("needs a real Kafka broker, as TestPartsOnRealKafka in integration has one: set MILLRACE_BROKERS to its address")
	}
	ctx, cancel := context.WithTimeout(background, 5*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}
	name := "restore-" + strings.ToLower(rand.Text())
	producer := func(id string, timeout time.Duration) *kgo.Client {
		p, err := kgo.NewClient(append(opts, kgo.TransactionalID(id), kgo.TransactionTimeout(timeout), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		must(err)
		t.Cleanup(p.Close)
		return p
	}
	p := producer(name, 5*time.Minute) // nothing waits for this one
	admin := kadm.NewClient(p)
	compact := "compact,delete"
	created, err := admin.CreateTopics(ctx, 8, 1, map[string]*string{"cleanup.policy": &compact}, name)
	must(err)
	must(created.Error())
	defer admin.DeleteTopics(background, name)

	r, err := New(Config{Opts: opts, MissingTimeout: 5 * time.Second})
	must(err)
	defer r.Close()
	parts := make([]Partition, 8)
	for i := range parts {
		parts[i] = Partition{Topic: name, Partition: int32(i), From: -1, TopicID: created[name].ID}
	}
	check := func(got *restored, want [][]string) {
		t.Helper()
		must(got.err)
		for i := range parts {
			if !slices.Equal(got.values[i], want[i]) {
				t.Errorf("partition %d: got %q, want %q", i, got.values[i], want[i])
			}
		}
	}
	want := make([][]string, 8)
	start := time.Now()
	check(restore(ctx, r, parts...), want)
	t.Logf("nothing to restore: %v", time.Since(start))

	// The restore starts immediately after each transaction.
	for round := range 10 {
		must(p.BeginTransaction())
		commit := kgo.TransactionEndTry(round%3 != 0)
		for i := range 7 {
			v := fmt.Sprint(round, i)
			must(p.ProduceSync(ctx, &kgo.Record{Topic: name, Partition: int32(i), Key: []byte(v), Value: []byte(v)}).FirstErr())
			if commit {
				want[i] = append(want[i], v)
			}
		}
		must(p.EndTransaction(ctx, commit))
		start := time.Now()
		got := restore(ctx, r, parts...)
		check(got, want)
		// The high watermark may be before this round's marker, which may not be written
		// yet.
		if next := got.next[0]; next != int64(2*round+1) && next != int64(2*round+2) {
			t.Errorf("position %d after round %d", next, round)
		}
		t.Logf("round %d: %v", round, time.Since(start))
	}

	// The broker aborts a transaction that its producer does not end.
	p = producer(name+"-gone", 5*time.Second)
	// The time is taken before the transaction begins. However slow the test is, the
	// transaction then times out between this moment and the end of the restore.
	start = time.Now()
	must(p.BeginTransaction())
	must(p.ProduceSync(ctx, &kgo.Record{Topic: name, Key: []byte("never"), Value: []byte("never")}).FirstErr())
	check(restore(ctx, r, parts...), want)
	t.Logf("with an open transaction: %v", time.Since(start))
	if time.Since(start) < time.Second {
		t.Error("did not wait for the open transaction")
	}

	var before kadm.Offsets
	before.AddOffset(name, 0, 5, -1)
	_, err = admin.DeleteRecords(ctx, before)
	must(err)
	parts[0].From = 3
	got := restore(ctx, r, parts...)
	var e *OutOfRangeError
	if !errors.As(got.err, &e) || e.Start != 5 || e.From != 3 {
		t.Errorf("got %v", got.err)
	}
	parts[0].From, parts[0].TopicID = -1, TopicID{1}
	if got := restore(ctx, r, parts[0]); !errors.Is(got.err, ErrRecreated) {
		t.Errorf("got %v", got.err)
	}
	if got := restore(ctx, r, Partition{Topic: name + "-missing", From: -1}); !errors.Is(got.err, ErrMissing) {
		t.Errorf("got %v", got.err)
	}
}
