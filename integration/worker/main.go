// Worker is the program that the tests on real Kafka start, kill and restart. It counts
// the records of a topic by value, through a repartition topic, and sends every update,
// or the merged updates, to another topic. With -interval it counts them in batches, with
// -timed in sessions and sliding windows. On standard output it writes the lines that the
// tests wait for.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

type options struct {
	brokers, application, in, out, stateDir string
	also, alsoOut                           string
	every, atLeastOnce, timeBased           bool
	session, transaction, interval          time.Duration
	lost, recreated                         restart
}

// restart is a millrace.Restart as a flag.
type restart millrace.Restart

var restarts = []string{millrace.RestartRefused: "refused", millrace.RestartEarliest: "earliest", millrace.RestartLatest: "latest"}

func (r *restart) String() string { return restarts[*r] }

func (r *restart) Set(text string) error {
	i := slices.Index(restarts, text)
	if i < 0 {
		return fmt.Errorf("want one of %v", restarts)
	}
	*r = restart(i)
	return nil
}

func main() {
	var o options
	flag.StringVar(&o.brokers, "brokers", "", "seed brokers, comma separated")
	flag.StringVar(&o.application, "app", "", "application ID")
	flag.StringVar(&o.in, "in", "", "topic to count")
	flag.StringVar(&o.out, "out", "", "topic of the counts")
	flag.StringVar(&o.stateDir, "state-dir", "", "state directory")
	flag.StringVar(&o.also, "also", "", "a second topic, whose values are sent in upper case to -also-out")
	flag.StringVar(&o.alsoOut, "also-out", "", "topic for what is read from -also")
	flag.BoolVar(&o.every, "every-update", false, "send every update")
	flag.BoolVar(&o.atLeastOnce, "at-least-once", false, "at-least-once instead of exactly-once")
	flag.DurationVar(&o.session, "session", 6*time.Second, "session timeout")
	flag.DurationVar(&o.transaction, "transaction", 0, "transaction timeout; 0: the default")
	flag.DurationVar(&o.interval, "interval", 0, "count in batches of this length: by value to -out, all to -also-out")
	flag.BoolVar(&o.timeBased, "timed", false, "sessions and sliding windows of -in, and its join with -also")
	flag.Var(&o.lost, "lost-offsets", "where to begin when offsets were lost: earliest or latest")
	flag.Var(&o.recreated, "recreated-inputs", "where to begin when a topic was created again: earliest or latest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	t, err := o.topology().Build()
	if err != nil {
		return err
	}
	config := millrace.Config{
		ApplicationID:      o.application,
		Brokers:            strings.Split(o.brokers, ","),
		StateDir:           o.stateDir,
		EveryUpdate:        o.every,
		SessionTimeout:     o.session,
		LostOffsets:        millrace.Restart(o.lost),
		RecreatedInputs:    millrace.Restart(o.recreated),
		TransactionTimeout: o.transaction,
		// an overloaded machine must not make a test fail
		CloseTimeout: 2 * time.Minute,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Hooks:        []millrace.Hook{reporter{}},
	}
	if o.atLeastOnce {
		config.Guarantee = millrace.AtLeastOnce
	}
	app, err := millrace.New(t, config)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

func (o options) topology() *topology.Builder {
	b := topology.New()
	if o.timeBased {
		o.timed(b)
		return b
	}
	lines := topology.Source(b, o.in, serde.String, serde.String)
	if o.interval > 0 {
		every := batch.Every(lines, "every", o.interval)
		every.Count("count").To(o.alsoOut)
		batch.CountByValue(every, "by-value").To(o.out)
		every.Count("printed").Print(os.Stdout)
		return b
	}
	byValue := topology.GroupBy(lines, "by-value", func(v string) string { return v }, serde.String)
	byValue.Count("counts").Stream().To(o.out)
	if o.also != "" {
		also := topology.Source(b, o.also, serde.String, serde.String)
		topology.MapValues(also, strings.ToUpper, serde.String).To(o.alsoOut)
	}
	return b
}

// reporter prints the lines that the tests wait for.
type reporter struct{}

func (reporter) OnStateChange(_, to millrace.State) { fmt.Println("state", to) }
func (reporter) OnStateWiped(w millrace.StateWiped) { fmt.Println("wiped", w.Store, w.Reason) }
func (reporter) OnRebalance(r millrace.Rebalance) {
	fmt.Println("rebalance", r.Generation, len(r.Assigned), len(r.Revoked))
}
