package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errOpen reports that a transaction is undecided.
var errOpen = errors.New("a transaction was left open")

// decided returns when the last stable offset of each partition is the high watermark. If
// a transaction is still open there, it immediately returns an errOpen.
//
// It waits for transactions that have been decided: Kafka answers EndTransaction when the
// decision is in its log, and writes the markers to the partitions afterwards.
func decided(ctx context.Context, admin *kadm.Client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		behind, err := behind(ctx, admin, topic)
		if err != nil || behind == nil {
			return err
		}
		if err := undecided(ctx, admin, topic); err != nil {
			return fmt.Errorf("%w: %w", behind, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w, though no transaction is open: %w", behind, ctx.Err())
		}
		pause(20 * time.Millisecond)
	}
}

// behind describes a partition whose last stable offset is below its high watermark. It
// returns nil if there is none.
func behind(ctx context.Context, admin *kadm.Client, topic string) (behind, err error) {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	stable, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends.Each(func(end kadm.ListedOffset) {
		if lso, _ := stable.Lookup(topic, end.Partition); lso.Offset < end.Offset {
			behind = fmt.Errorf("%s/%d: the last stable offset %d is below the high watermark %d", topic, end.Partition, lso.Offset, end.Offset)
		}
	})
	return behind, nil
}

// undecided returns an errOpen if a producer of the topic has an open transaction.
func undecided(ctx context.Context, admin *kadm.Client, topic string) error {
	var s kadm.TopicsSet
	s.Add(topic)
	topics, err := admin.DescribeProducers(ctx, s)
	if err != nil {
		return err
	}
	var ids []int64
	topics.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 {
			ids = append(ids, p.ProducerID)
		}
	})
	if len(ids) == 0 {
		return nil
	}
	open, err := admin.ListTransactions(ctx, ids, []string{"Ongoing"})
	if err != nil || len(open) == 0 {
		return err
	}
	return fmt.Errorf("%w: %v", errOpen, open.TransactionalIDs())
}

// An undecided transaction is reported immediately. A committed one is waited for.
func TestOpenTransactionIsSeen(t *testing.T) {
	c := kafka(t)
	t.Parallel()
	topic := name(t, "open")
	c.createTopic(t, topic, 1)
	client := c.client(t, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic), kgo.TransactionTimeout(time.Minute))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("v")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := decided(t.Context(), c.admin(t), topic); !errors.Is(err, errOpen) {
		t.Errorf("got %v, want %v", err, errOpen)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := decided(t.Context(), c.admin(t), topic); err != nil {
		t.Error(err)
	}
}
