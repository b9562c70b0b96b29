// Package program contains what the programs of the tests on real Kafka share: their
// flags, their end, and the lines on standard output that the tests wait for.
package program

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/topology"
)

// Flags are the flags that every program has.
type Flags struct {
	Brokers, Application, StateDir string
	every, atLeastOnce             bool
	session, transaction           time.Duration
}

// Register registers the flags. The caller calls flag.Parse.
func Register() *Flags {
	f := new(Flags)
	flag.StringVar(&f.Brokers, "brokers", "localhost:9092", "seed brokers, comma separated")
	flag.StringVar(&f.Application, "app", "", "application ID")
	flag.StringVar(&f.StateDir, "state-dir", "", "state directory")
	flag.BoolVar(&f.every, "every-update", false, "send every update")
	flag.BoolVar(&f.atLeastOnce, "at-least-once", false, "at-least-once instead of exactly-once")
	flag.DurationVar(&f.session, "session", 6*time.Second, "session timeout")
	flag.DurationVar(&f.transaction, "transaction", 0, "transaction timeout; 0: the default")
	return f
}

// Config returns the configuration that the flags describe. The log goes to standard
// error.
func (f *Flags) Config() millrace.Config {
	c := millrace.Config{
		ApplicationID:      f.Application,
		Brokers:            strings.Split(f.Brokers, ","),
		StateDir:           f.StateDir,
		EveryUpdate:        f.every,
		SessionTimeout:     f.session,
		TransactionTimeout: f.transaction,
		// an overloaded machine must not make a test fail
		CloseTimeout: 2 * time.Minute,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Hooks:        []millrace.Hook{reporter{}},
	}
	if f.atLeastOnce {
		c.Guarantee = millrace.AtLeastOnce
	}
	return c
}

// Main runs a topology until SIGINT or SIGTERM. After an error it exits with status 1.
func Main(b *topology.Builder, c millrace.Config) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, b, c); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

func run(ctx context.Context, b *topology.Builder, c millrace.Config) error {
	t, err := b.Build()
	if err != nil {
		return err
	}
	app, err := millrace.New(t, c)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// reporter prints the lines that the tests wait for.
type reporter struct{}

func (reporter) OnStateChange(_, to millrace.State) { fmt.Println("state", to) }
func (reporter) OnStateWiped(w millrace.StateWiped) { fmt.Println("wiped", w.Store, w.Reason) }
func (reporter) OnTableRetention(r millrace.TableRetention) {
	fmt.Println("retention", r.Table, r.Topic, r.Policy, r.MaxAge, r.Risk)
}
func (reporter) OnRebalance(r millrace.Rebalance) {
	fmt.Println("rebalance", r.Generation, len(r.Assigned), len(r.Revoked))
}
