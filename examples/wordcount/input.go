package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// deliveryTime is how long the delivery of lines to Kafka may take when the program ends.
const deliveryTime = 10 * time.Second

// input is a source of lines.
type input interface {
	// read sends lines until ctx ends. It returns when all lines that it sent are
	// delivered. It is called once.
	read(ctx context.Context, to *sender) error
}

// readAll reads inputs until ctx ends, or until one of them or Kafka fails. When it
// returns, every line that was read is in Kafka, or the error says that some are not. It
// may close client.
func readAll(ctx context.Context, inputs []input, client *kgo.Client, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(deliveryTime, client.Close) })

	to := &sender{client: client, log: log, stop: stop}
	errs := make([]error, len(inputs))
	var running sync.WaitGroup
	for i, in := range inputs {
		running.Go(func() {
			defer stop()
			errs[i] = in.read(ctx, to)
		})
	}
	running.Wait()
	return errors.Join(append(errs, to.err)...)
}
