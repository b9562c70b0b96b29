package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// printer prints the results, a line for each.
type printer struct {
	client *kgo.Client
	out    io.Writer
}

// newPrinter reads the topics of the results, as any other program would.
func newPrinter(brokers []string, out io.Writer) (*printer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("settled", "totals", "per-minute"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	return &printer{client: client, out: out}, err
}

// run prints until ctx ends.
func (p *printer) run(ctx context.Context) error {
	defer p.client.Close()
	for {
		fetches := p.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read topic %s: %w", e.Topic, e.Err)
		}
		for _, r := range fetches.Records() {
			text, err := line(r)
			if err != nil {
				return fmt.Errorf("topic %s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			fmt.Fprintln(p.out, text)
		}
	}
}

// line is the text of a result.
func line(r *kgo.Record) (string, error) {
	const columns = "%s  %-7s %-10s %-8s %14s %10v  %s"
	if r.Topic == "settled" {
		var s settled
		if err := json.Unmarshal(r.Value, &s); err != nil {
			return "", err
		}
		what, after := "unpaid", fmt.Sprintf("order %s, no payment within %v", s.ID, payBy)
		if s.Paid {
			what, after = "paid", fmt.Sprintf("order %s, after %d s", s.ID, s.Seconds)
		}
		return fmt.Sprintf(columns, clock(s.At), what, s.Name, s.Region, fmt.Sprint(s.Count, " × ", s.Item), s.Total, after), nil
	}
	var t total
	if err := json.Unmarshal(r.Value, &t); err != nil {
		return "", err
	}
	orders := fmt.Sprint(t.Orders, " orders")
	if t.Orders == 1 {
		orders = "1 order"
	}
	if r.Topic == "totals" {
		return fmt.Sprintf(columns, clock(r.Timestamp), "total", t.Name, "", orders, t.Sum, "so far"), nil
	}
	key, err := byMinute.Decode(r.Key)
	if err != nil {
		return "", err
	}
	start := time.UnixMilli(int64(key.Window.Start))
	return fmt.Sprintf(columns, clock(start), "minute", "", t.Name, orders, t.Sum, "final"), nil
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }
