// Tweets reads tweets from Kafka, prints statistics of them every few seconds, and writes
// tweets of interest to another topic. Without -brokers it starts its own broker and
// replays a sample, so nothing has to be installed:
//
//	go run ./examples/tweets
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/examples/internal/broker"
	"github.com/millrace-streams/millrace/processor"
)

// partitions is the partition count of the topics that the program creates.
const partitions = 4

// options are the values of the flags.
type options struct {
	brokers  string
	name     string
	interval time.Duration
	window   time.Duration
	duration time.Duration
	rate     int
	terms    list
	domains  list
	prefix   string
	stateDir string
	verbose  bool
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tweets:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program immediately
	err = run(ctx, o, os.Stdout, os.Stderr)
	// after an interrupt, the user knows why the start ended
	if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		fmt.Fprintln(os.Stderr, "tweets:", err)
		os.Exit(1)
	}
}

func parse(args []string, errors io.Writer) (options, error) {
	o := options{terms: list{"oracle", "kafka", "golang", "rmoff"}, domains: list{"github.com", "confluent.io"}}
	flags := flag.NewFlagSet("tweets", flag.ContinueOnError)
	flags.SetOutput(errors)
	flags.StringVar(&o.brokers, "brokers", "", "seed `brokers` of a real cluster, separated by commas; missing topics are created (default: an embedded broker, and a replay of the sample)")
	flags.StringVar(&o.name, "name", "tweets", "`name` of the application and of its topics")
	flags.DurationVar(&o.interval, "interval", 5*time.Second, "length of a batch")
	flags.DurationVar(&o.window, "window", time.Minute, "length of the windows, a multiple of -interval")
	flags.DurationVar(&o.duration, "duration", 0, "time after which the program ends; 0: it runs until it is interrupted")
	flags.IntVar(&o.rate, "rate", 50, "tweets per second that the replay writes")
	flags.Var(&o.terms, "terms", "`terms` of interest, separated by commas")
	flags.Var(&o.domains, "domains", "`domains` of interest: tweets that link there are kept too")
	flags.StringVar(&o.prefix, "prefix", "r", "`prefix` of authors that are printed even if they have only one tweet")
	flags.StringVar(&o.stateDir, "state-dir", "", "`directory` that keeps the state and the embedded broker between runs (default: a temporary one for this run)")
	flags.BoolVar(&o.verbose, "verbose", false, "log what the runtime does")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return o, o.check(flags.Args(), given)
}

// names are the topic names that Kafka allows, short enough for the suffixes that are
// added.
var names = regexp.MustCompile(`^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,149}$`)

// check returns the first mistake in the options. given are the flags that the user set.
func (o options) check(rest []string, given map[string]bool) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: the program takes flags and no arguments", rest[0])
	case !names.MatchString(o.name):
		return fmt.Errorf("-name %q: want 1 to 150 letters, digits, dots, underscores and hyphens, with no dot in front", o.name)
	case o.interval < time.Millisecond:
		return fmt.Errorf("-interval %v: want at least 1ms", o.interval)
	case !given["window"] && o.window%o.interval != 0:
		return fmt.Errorf("-interval %v: the window of %v is not a multiple of it; set one with -window", o.interval, o.window)
	case o.window < o.interval || o.window%o.interval != 0:
		return fmt.Errorf("-window %v: want a multiple of -interval %v", o.window, o.interval)
	case o.duration < 0:
		return fmt.Errorf("-duration %v: want 0 (no end) or more", o.duration)
	case o.rate < 1:
		return fmt.Errorf("-rate %d: want at least 1", o.rate)
	case !o.embedded():
		_, err := broker.Seeds(o.brokers)
		return err
	}
	return nil
}

// embedded reports whether the program starts its own broker and replays the sample.
func (o options) embedded() bool { return o.brokers == "" }

// run runs the program until ctx ends: the broker if none is given, the topics, the
// replay, and the job.
func run(ctx context.Context, o options, out, logs io.Writer) error {
	dir, remove, err := o.directory(logs)
	if err != nil {
		return err
	}
	defer remove()
	brokers, stop, err := o.cluster(dir, logs)
	if err != nil {
		return err
	}
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	topics := o.topics()
	if err := broker.Create(ctx, client, partitions, topics.all()...); err != nil {
		return err
	}
	stopReplay := func() error { return nil }
	if o.embedded() {
		if stopReplay, err = startReplay(ctx, client, topics.inputs(), o.rate); err != nil {
			return err
		}
	}
	if o.duration > 0 { // starts here, so that it does not include the startup
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	err = o.work(ctx, brokers, dir, topics, out, logs)
	return errors.Join(err, stopReplay())
}

// cluster returns the given brokers, or starts one in this process, with its data in dir.
func (o options) cluster(dir string, logs io.Writer) (brokers []string, stop func(), err error) {
	if !o.embedded() {
		brokers, err = broker.Seeds(o.brokers)
		return brokers, func() {}, err
	}
	if brokers, stop, err = broker.Embedded(dir); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(logs, "the embedded broker is at %s\n", strings.Join(brokers, ","))
	return brokers, stop, nil
}

// work runs the job until ctx ends.
func (o options) work(ctx context.Context, brokers []string, dir string, topics topics, out, logs io.Writer) error {
	t, err := job(o, topics, out)
	if err != nil {
		return err
	}
	broken := &counter{}
	config := millrace.Config{
		ApplicationID: o.name,
		Brokers:       brokers,
		StateDir:      dir,
		Errors:        processor.ErrorPolicy{Decode: processor.DeadLetter, DeadLetterTopic: topics.broken},
		Hooks:         []millrace.Hook{broken},
	}
	if o.verbose {
		config.Logger = slog.New(slog.NewTextHandler(logs, nil))
	}
	app, err := millrace.New(t, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(logs, "tweets come from %s; see also %s\n", strings.Join(topics.inputs(), " and "), strings.Join(topics.outputs(), ", "))
	err = app.Run(ctx)
	fmt.Fprintf(logs, "broken tweets, which went to %s: %d\n", topics.broken, broken.n.Load())
	return err
}

// directory returns the directory for state, and a function to call at the end.
func (o options) directory(logs io.Writer) (string, func(), error) {
	if o.stateDir != "" {
		return o.stateDir, func() {}, os.MkdirAll(o.stateDir, 0o755)
	}
	dir, err := os.MkdirTemp("", "tweets-")
	if err != nil {
		return "", nil, err
	}
	fmt.Fprintln(logs, "state is kept for this run only; -state-dir keeps it")
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// startReplay writes the sample until ctx ends. The returned function waits until the
// last tweets are written.
func startReplay(ctx context.Context, client *kgo.Client, topics []string, rate int) (func() error, error) {
	r, err := newReplay(ctx, client, topics, partitions, rate)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { done <- r.run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}, nil
}

// list is a flag with a list of words, separated by commas, in lower case.
type list []string

// String joins the words.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set splits the text of the flag.
func (l *list) Set(text string) error {
	*l = nil
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}
