// Orders is a small shop. It joins orders with users (a table), regions (a global table)
// and payments (a stream, within 30 seconds), and keeps the total of each user and the
// final revenue of each region and minute. It has its own broker, and makes up its input:
//
//	go run ./examples/orders
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/examples/internal/broker"
)

// options are the values of the flags.
type options struct {
	speed    int
	duration time.Duration
	seed     uint64
	verbose  bool
}

func main() {
	var o options
	flag.IntVar(&o.speed, "speed", 10, "seconds of the shop's time in one second")
	flag.DurationVar(&o.duration, "duration", 0, "time after which the program ends; 0: it runs until it is interrupted")
	flag.Uint64Var(&o.seed, "seed", 1, "the shop's random numbers")
	flag.BoolVar(&o.verbose, "verbose", false, "log what the runtime does")
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program immediately
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: the program takes flags and no arguments", rest[0])
	case o.speed < 1 || o.speed > 1000:
		return fmt.Errorf("-speed %d: want 1 to 1000", o.speed)
	case o.duration < 0:
		return fmt.Errorf("-duration %v: want 0 (no end) or more", o.duration)
	}
	return nil
}

// run runs the shop until ctx or the duration ends, or an error occurs. Results are
// written to stdout, messages to stderr.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "orders-") // a service uses a permanent directory
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	brokers, stopBroker, err := broker.Embedded(dir)
	if err != nil {
		return err
	}
	defer stopBroker()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := broker.CreateCompacted(ctx, client, partitions, tables...); err != nil {
		return err
	}
	if err := broker.Create(ctx, client, partitions, streams...); err != nil {
		return err
	}
	s := newShop(sendTo(client), o.seed, time.Now())
	if err := s.open(ctx); err != nil {
		return err
	}
	p, err := newPrinter(brokers, stdout)
	if err != nil {
		return err
	}
	if o.duration > 0 { // starts here, so that it does not include the startup
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	return work(ctx, o, brokers, dir, s, p, stderr)
}

// work runs the topology, the shop and the printer until ctx ends or one of them fails.
func work(ctx context.Context, o options, brokers []string, dir string, s *shop, p *printer, stderr io.Writer) error {
	t, err := job()
	if err != nil {
		return err
	}
	running := make(chan struct{})
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	app, err := millrace.New(t, millrace.Config{
		ApplicationID: "orders",
		Brokers:       brokers,
		StateDir:      dir,
		Hooks:         []millrace.Hook{started(running)},
		Logger:        slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ends := make(chan error)
	start := func(part func(context.Context) error) {
		go func() {
			err := part(ctx)
			cancel(err)
			ends <- err
		}()
	}
	start(app.Run)
	start(p.run)
	start(func(ctx context.Context) error { return s.run(ctx, running, o.speed) })
	var first error
	for range 3 {
		if err := <-ends; first == nil && err != nil {
			first = err
		}
	}
	return first
}

// started is closed when the application runs for the first time.
type started chan struct{}

func (s started) OnStateChange(_, to millrace.State) {
	select {
	case <-s:
	default:
		if to == millrace.Running {
			close(s)
		}
	}
}
