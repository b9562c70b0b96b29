package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/bench/internal/leftover"
)

// fill makes the input topic of a run, unless the last run had the same one. The records
// have the form of the bench: the key, and "key sequence padding" as the value. They are
// 0.6 ms apart in event time.
func (m *meter) fill(ctx context.Context, r runConfig) error {
	want := runConfig{records: r.records, keys: r.keys, partitions: r.partitions, size: r.size}
	if m.topic != "" && m.input == want {
		return nil
	}
	if err := m.removeInput(ctx); err != nil {
		return err
	}
	m.topic = fmt.Sprintf("curves-in-%d", time.Now().UnixNano())
	if _, err := m.admin.CreateTopic(ctx, int32(r.partitions), 1, nil, m.topic); err != nil {
		return err
	}
	m.input = want
	cl, err := kgo.NewClient(kgo.SeedBrokers(m.brokers...), kgo.DefaultProduceTopic(m.topic), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedBytes(64<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed atomic.Pointer[error]
	random := rand.New(rand.NewPCG(1, 2))
	padding := strings.Repeat("x", r.size)
	start := time.Now().Add(-12 * time.Hour)
	for i := range r.records {
		key := "word-" + strconv.Itoa(1_000_000_000 + random.IntN(r.keys))[1:]
		value := fmt.Sprintf("%s %08d ", key, i)
		value += padding[:max(r.size-len(value), 0)]
		record := &kgo.Record{Key: []byte(key), Value: []byte(value), Timestamp: start.Add(time.Duration(i) * 600 * time.Microsecond)}
		cl.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// removeInput deletes the topic of the input, if there is one.
func (m *meter) removeInput(ctx context.Context) error {
	if m.topic == "" {
		return nil
	}
	responses, err := m.admin.DeleteTopics(ctx, m.topic)
	return errors.Join(err, responses.Error())
}

// removeAll deletes the topics of an application, and its group.
func (m *meter) removeAll(ctx context.Context, application string) error {
	_, deleted := m.admin.DeleteGroup(ctx, application)
	return errors.Join(leftover.RemoveTopics(ctx, m.admin, application), deleted)
}
