package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// client returns a plain client of the cluster. It is closed at the end of the test.
func (c *cluster) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.brokers), kgo.FetchMaxWait(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func (c *cluster) admin(t *testing.T) *kadm.Client {
	t.Helper()
	return kadm.NewClient(c.client(t))
}

// name returns a name for topics and applications. It is unique among all tests and runs.
func name(t *testing.T, what string) string {
	test := strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' {
			return '-'
		}
		return r
	}, t.Name())
	return fmt.Sprintf("%s-%s-%d", test, what, time.Now().UnixMilli())
}

// createTopic creates a topic. At the end of the test, the topic is deleted, with all
// topics whose names start with its name.
func (c *cluster) createTopic(t *testing.T, topic string, partitions int32) {
	t.Helper()
	c.createTopicWith(t, topic, partitions, nil)
}

// createTopicWith is createTopic with settings of the topic.
func (c *cluster) createTopicWith(t *testing.T, topic string, partitions int32, settings map[string]string) {
	t.Helper()
	admin := c.admin(t)
	configs := map[string]*string{}
	for name, value := range settings {
		configs[name] = &value
	}
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, configs, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
	for { // brokers learn of the topic a little later than the controller
		if topics, err := admin.ListTopics(t.Context(), topic); err == nil && len(topics[topic].Partitions) == int(partitions) {
			break
		}
		pause(10 * time.Millisecond)
	}
	t.Cleanup(func() { _, _ = admin.DeleteTopics(context.Background(), topic) })
}

// deleteTopic deletes a topic, and returns when brokers no longer know it.
func (c *cluster) deleteTopic(t *testing.T, topic string) {
	t.Helper()
	admin := c.admin(t)
	if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	for {
		topics, err := admin.ListTopics(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(topics[topic].Err, kerr.UnknownTopicOrPartition) {
			return
		}
		pause(10 * time.Millisecond)
	}
}

// cleanUp deletes the internal topics of an application at the end of the test.
func (c *cluster) cleanUp(t *testing.T, application string) {
	t.Helper()
	admin := c.admin(t)
	t.Cleanup(func() {
		topics, err := admin.ListTopics(context.Background())
		if err != nil {
			t.Logf("topics of %s stay: %v", application, err)
			return
		}
		for _, topic := range topics.Names() {
			if strings.HasPrefix(topic, application+"-") {
				_, _ = admin.DeleteTopics(context.Background(), topic)
			}
		}
	})
}

// keyOf returns key i of the keys that produceKeyed uses.
func keyOf(i int) string { return fmt.Sprintf("key-%04d", i) }

// produceKeyed writes n records. Their values name each of the keys in turn. Their own
// keys are different, so that counting by value goes through a repartition topic. It
// returns how often each key was named.
func (c *cluster) produceKeyed(t *testing.T, topic string, n, keys int) map[string]int64 {
	t.Helper()
	client := c.client(t, kgo.DefaultProduceTopic(topic), kgo.MaxBufferedRecords(n+1))
	want := map[string]int64{}
	for i := range n {
		key := keyOf(i * 7919 % keys)
		want[key]++
		client.Produce(t.Context(), &kgo.Record{Key: fmt.Appendf(nil, "%d", i), Value: []byte(key)}, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return want
}

// committed is read for a topic that is no longer written. If a transaction was left open
// there, the test fails.
func (c *cluster) committed(t *testing.T, topic string, f func(*kgo.Record)) {
	t.Helper()
	if err := decided(t.Context(), c.admin(t), topic); err != nil {
		t.Error(err)
	}
	c.read(t, topic, f)
}

// read reads a topic with read_committed, from its start to its current end, and passes
// each record to f, in the order of its partition. It waits for transactions that are
// open there.
func (c *cluster) read(t *testing.T, topic string, f func(*kgo.Record)) {
	t.Helper()
	ends, err := c.admin(t).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	positions := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		from[end.Partition] = kgo.NewOffset().AtStart()
		if end.Offset > 0 {
			open++
			positions[end.Partition] = end.Offset
		}
	})
	client := c.client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	for open > 0 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				f(r)
			}
			// it is beyond the end if the end was inside an aborted transaction
			if end := positions[r.Partition]; end > 0 && r.Offset+1 >= end {
				open--
				positions[r.Partition] = 0
			}
		})
	}
}

// counts reads a topic of text keys and big-endian counts. It returns the values of each
// key, in order.
func (c *cluster) counts(t *testing.T, topic string) map[string][]int64 {
	t.Helper()
	got := map[string][]int64{}
	c.committed(t, topic, func(r *kgo.Record) {
		if len(r.Value) != 8 {
			t.Fatalf("%s/%d@%d: want a count of 8 bytes, have %x", topic, r.Partition, r.Offset, r.Value)
		}
		got[string(r.Key)] = append(got[string(r.Key)], int64(binary.BigEndian.Uint64(r.Value)))
	})
	return got
}

// hasRecords reports whether a partition that ends at end has a committed record, or one
// that may still be committed, at from or later. Transaction markers and aborted records
// do not count.
func (c *cluster) hasRecords(t *testing.T, admin *kadm.Client, topic string, partition int32, from, end int64) bool {
	t.Helper()
	stable, err := admin.ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		return true
	}
	if at, ok := stable.Lookup(topic, partition); !ok || at.Err != nil || at.Offset < end {
		return true // an open transaction hides its records
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers), kgo.FetchMaxWait(100*time.Millisecond), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const long = patience / 6 // the records may have been deleted meanwhile
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	for ctx.Err() == nil {
		for _, r := range client.PollFetches(ctx).Records() {
			if !r.Attrs.IsControl() {
				return true
			}
			if r.Offset+1 >= end {
				return false
			}
		}
	}
	return true
}

// pause lets a concurrent process continue for a while. It is for cases where no event
// can be waited for, for example before a kill at a random point.
func pause(d time.Duration) { <-time.After(d) }
