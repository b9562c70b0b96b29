// Wordcount counts the words of lines that arrive on a TCP socket or in new files of a
// directory, and prints the counts of every batch. The lines go through the Kafka topic
// "lines". Therefore no line is lost or counted twice if the program is killed and
// restarted.
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
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/examples/internal/broker"
)

type options struct {
	listen, dir        string
	brokers, stateDir  string
	interval, duration time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "", "`address` on which lines arrive over TCP, as in :9999 (default localhost:9999 if there is no -dir)")
	flag.StringVar(&o.dir, "dir", "", "`directory` whose new files are read line by line")
	flag.DurationVar(&o.interval, "interval", 10*time.Second, "length of a batch")
	flag.DurationVar(&o.duration, "duration", 0, "time after which the program ends (default: it runs until it is interrupted)")
	flag.StringVar(&o.brokers, "brokers", "", "Kafka's `host:port`s, separated by commas (default: a broker inside this program)")
	flag.StringVar(&o.stateDir, "state-dir", "", "`directory` that keeps the state between runs (default: a temporary one for this run)")
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program immediately
	err := run(ctx, o, os.Stdout, os.Stderr)
	// after an interrupt, the user knows why the start ended
	if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: the program takes flags and no arguments", rest[0])
	case o.interval < time.Millisecond:
		return fmt.Errorf("-interval %v: want at least 1ms", o.interval)
	case o.duration < 0:
		return fmt.Errorf("-duration %v: want 0 (no end) or more", o.duration)
	case o.brokers != "":
		_, err := broker.Seeds(o.brokers)
		return err
	}
	return nil
}

// run counts until ctx or the duration ends, or an error occurs. Batches are written to
// stdout, all messages to stderr.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	dir, cleanUp, err := stateDir(o.stateDir, stderr)
	if err != nil {
		return err
	}
	defer cleanUp()
	brokers, stop, err := cluster(o.brokers, dir)
	if err != nil {
		return err
	}
	defer stop()
	client, err := producer(brokers)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := broker.Create(ctx, client, partitions, lines); err != nil {
		return err
	}
	t, err := job(o.interval, stdout)
	if err != nil {
		return err
	}
	app, err := millrace.New(t, millrace.Config{
		ApplicationID: "wordcount",
		Brokers:       brokers,
		StateDir:      filepath.Join(dir, "state"),
		Logger:        log,
	})
	if err != nil {
		return err
	}
	inputs, err := o.open(dir, log)
	if err != nil {
		return err
	}
	if o.duration > 0 { // starts here, so that it does not include the startup
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	return count(ctx, app, func(ctx context.Context) error { return readAll(ctx, inputs, client, log) })
}

// count runs the job and the reading of its input, until ctx ends or one of the two
// fails. The job ends after the reading.
func count(ctx context.Context, app *millrace.App, read func(context.Context) error) error {
	reading, stopReading := context.WithCancel(ctx)
	running, stopRunning := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		defer stopReading()
		ended <- app.Run(running)
	}()
	err := read(reading)
	stopRunning()
	return errors.Join(err, <-ended)
}

// stateDir returns the given directory, or a temporary one that cleanUp removes.
func stateDir(asked string, stderr io.Writer) (dir string, cleanUp func(), err error) {
	if asked != "" {
		return asked, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "wordcount-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary state directory: %w", err)
	}
	fmt.Fprintf(stderr, "wordcount: state is kept in %s until the end of this run; -state-dir keeps it for the next one\n", dir)
	return dir, func() { os.RemoveAll(dir) }, nil
}

// cluster returns the given brokers, or starts one in this process, with its data in dir.
func cluster(asked, dir string) (brokers []string, stop func(), err error) {
	if asked != "" {
		brokers, err = broker.Seeds(asked)
		return brokers, func() {}, err
	}
	return broker.Embedded(dir)
}

// open opens the inputs that the flags select.
func (o options) open(stateDir string, log *slog.Logger) ([]input, error) {
	if o.listen == "" && o.dir == "" {
		o.listen = "localhost:9999"
	}
	var inputs []input
	if o.listen != "" {
		s, err := listen(o.listen, log)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, s)
	}
	if o.dir != "" {
		d, err := openDirectory(o.dir, filepath.Join(stateDir, "files"), log)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, d)
	}
	return inputs, nil
}
