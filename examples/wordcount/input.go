package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// deliveryTime is how long lines that were read may take to reach Kafka when the program ends.
const deliveryTime = 10 * time.Second

// input is where lines come from.
type input interface {
	// read sends lines until ctx ends, and returns when all that it sent is delivered. It is called once.
	read(ctx context.Context, to *sender) error
}

// readAll reads inputs until ctx ends, or until one of them or Kafka fails. Afterwards every line that was read is in Kafka, or the error
// says that some are not. It may close client.
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
