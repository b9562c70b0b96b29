package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// bufferedLines and bufferedBytes limit the lines that wait for Kafka. If the buffer
	// is full, the inputs wait, and so do the clients that write to a socket.
	bufferedLines = 10_000
	bufferedBytes = 16 << 20
)

// producer makes the client of a sender.
func producer(brokers []string) (*kgo.Client, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.MaxBufferedRecords(bufferedLines),
		kgo.MaxBufferedBytes(bufferedBytes),
		// below 1048588 bytes, a topic's default limit
		kgo.ProducerBatchMaxBytes(maxLine+4096),
	)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return client, nil
}

// sender writes lines to the topic.
type sender struct {
	client *kgo.Client
	log    *slog.Logger
	stop   func() // ends all inputs; called after the first failure

	failure sync.Once
	err     error // the first failure; read it only when all deliveries have ended
}

// delivery is a group of lines in flight from one source to Kafka. One goroutine uses it.
type delivery struct {
	to      *sender
	from    string // for the log
	lines   int    // number of lines sent
	pending sync.WaitGroup
	failed  atomic.Bool
}

func (s *sender) delivery(from string) *delivery { return &delivery{to: s, from: from} }

// sendNext sends the next line of r. It blocks while the buffer is full. A line that is
// too long is skipped and logged. The errors are those of r.
func (d *delivery) sendNext(r *lineReader) error {
	line, err := r.next()
	if err == errLongLine {
		d.to.log.Warn(err.Error(), "from", d.from, "limit", maxLine)
		return nil
	}
	if err != nil {
		return err
	}
	d.lines++
	d.pending.Add(1)
	d.to.client.Produce(context.Background(), &kgo.Record{Topic: lines, Value: line}, d.sent)
	return nil
}

// wait waits for Kafka's answers and reports whether Kafka has all lines. If not, the
// sender has an error and has ended all inputs.
func (d *delivery) wait() bool {
	d.pending.Wait()
	return !d.failed.Load()
}

// sent handles Kafka's answer. The client has already retried where that may help.
func (d *delivery) sent(r *kgo.Record, err error) {
	defer d.pending.Done()
	switch {
	case err == nil:
	case errors.Is(err, kerr.MessageTooLarge):
		d.to.log.Warn("line skipped: longer than topic "+lines+" takes", "from", d.from, "bytes", len(r.Value))
	default:
		d.failed.Store(true)
		d.to.failure.Do(func() {
			d.to.err = fmt.Errorf("lines from %s did not reach topic %s: %w", d.from, lines, err)
			d.to.stop()
		})
	}
}
