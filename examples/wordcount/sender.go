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
	// bufferedLines and bufferedBytes bound what waits for Kafka. A full buffer makes inputs wait, and with them whoever writes to a socket.
	bufferedLines = 10_000
	bufferedBytes = 16 << 20
)

// producer makes the client of a sender.
func producer(brokers []string) (*kgo.Client, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.MaxBufferedRecords(bufferedLines),
		kgo.MaxBufferedBytes(bufferedBytes),
		kgo.ProducerBatchMaxBytes(maxLine+4096), // below the 1048588 bytes that a topic takes unless it was told otherwise
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
	err     error // the first failure; read it when all deliveries have ended
}

// delivery is a number of lines on their way from one place to Kafka. It is used by one goroutine.
type delivery struct {
	to      *sender
	from    string // for the log
	lines   int    // that were sent
	pending sync.WaitGroup
	failed  atomic.Bool
}

func (s *sender) delivery(from string) *delivery { return &delivery{to: s, from: from} }

// sendNext sends the next line of r, and blocks while the buffer is full. A line that is too long is skipped, and logged. Errors are those
// of r.
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

// wait reports whether Kafka has all lines, once that is known. If not, the sender has an error and has ended all inputs.
func (d *delivery) wait() bool {
	d.pending.Wait()
	return !d.failed.Load()
}

// sent takes Kafka's answer. The client has tried again where that may help.
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
