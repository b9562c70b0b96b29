package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/internal/exampletest"
)

// read returns all committed records of a topic, in order of offset within each
// partition.
func read(t *testing.T, brokers []string, topic string) (records []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[int32]int64) // by partition: the end
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		}
	}
	return records
}

// waitUntil polls a condition that no event announces.
func waitUntil(t *testing.T, what string, satisfied func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(exampletest.Patience)
	for !satisfied() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("no %s within %v", what, exampletest.Patience)
		}
	}
}

// count returns a count that the job wrote.
func count(t *testing.T, key, value []byte) int {
	t.Helper()
	var c TermCount
	if err := json.Unmarshal(value, &c); err != nil || c.Term != string(key) {
		t.Fatalf("the count of %q is %s (%v)", key, value, err)
	}
	return int(c.Count)
}
