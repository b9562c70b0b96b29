package restore

import (
	"context"
	"errors"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errHeld ends the search for a record.
var errHeld = errors.New("a record was found")

// HoldsRecord reports whether a topic holds a committed record. It reads: an aborted transaction
// moves the end of a topic, too. An open transaction is waited for. A topic that does not exist
// holds nothing.
func HoldsRecord(ctx context.Context, opts []kgo.Opt, topic string, logger *slog.Logger) (bool, error) {
	// In batches of one record, so that the first is not waited for.
	r, err := New(Config{Opts: opts, BatchRecords: 1, Logger: logger})
	if err != nil {
		return false, err
	}
	defer r.Close()
	details, err := r.admin.ListTopics(ctx, topic)
	if err != nil {
		return false, err
	}
	if err := details[topic].Err; err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return false, nil
		}
		return false, err
	}
	var parts []Partition
	for _, p := range details[topic].Partitions {
		parts = append(parts, Partition{Topic: topic, Partition: p.Partition, From: -1, TopicID: details[topic].ID})
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	held := false
	sink := func(_ int, records []*kgo.Record, _ int64) error {
		if len(records) == 0 {
			return nil
		}
		held = true
		stop()
		return errHeld
	}
	err = r.Restore(reading, parts, sink, nil, nil)
	if held {
		return true, nil
	}
	return false, err
}
