// Bench runs one workload of a benchmark for stream-processing applications on Millrace.
// The environment configures it. README.md in this folder has the contract and the
// recorded figures.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-streams/millrace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, env func(string) string) error {
	w, config, err := parse(env)
	if err != nil {
		return err
	}
	t, err := w.build()
	if err != nil {
		return err
	}
	app, err := millrace.New(t, config)
	if err != nil {
		return err
	}
	return errors.Join(app.Run(ctx), writeAllocations(env("ALLOCS")))
}

// writeAllocations writes into a file how many objects and bytes the process has
// allocated. It does nothing if no file is named.
func writeAllocations(file string) error {
	if file == "" {
		return nil
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return os.WriteFile(file, fmt.Appendf(nil, "%d %d\n", samples[0].Value.Uint64(), samples[1].Value.Uint64()), 0o644)
}

// parse reads the environment that the contract defines.
func parse(env func(string) string) (workload, millrace.Config, error) {
	threads, err1 := number(env, "THREADS", 1)
	commit, err2 := number(env, "COMMIT_MS", 100)
	cache, err3 := number(env, "CACHE_BYTES", -1)
	grace, err4 := number(env, "GRACE_MS", 10_000)
	overlap, err5 := number(env, "WINDOWS", 12)
	if overlap < 1 && err5 == nil {
		err5 = fmt.Errorf("WINDOWS is %d: want at least 1", overlap)
	}
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return workload{}, millrace.Config{}, err
	}
	config := millrace.Config{
		ApplicationID:  env("APP_ID"),
		Brokers:        strings.Split(env("BROKERS"), ","),
		StateDir:       env("STATE_DIR"),
		Workers:        threads,
		CommitInterval: time.Duration(commit) * time.Millisecond,
		EveryUpdate:    cache == 0,
		Logger:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if config.CommitInterval > 5*time.Second {
		config.TransactionTimeout = 2 * config.CommitInterval
	}
	if env("EOS") != "true" {
		config.Guarantee = millrace.AtLeastOnce
	}
	return workload{
		name:    env("WORKLOAD"),
		input:   env("INPUT"),
		input2:  env("INPUT2"),
		output:  env("OUTPUT"),
		grace:   time.Duration(grace) * time.Millisecond,
		overlap: overlap,
	}, config, nil
}

func number(env func(string) string, name string, otherwise int) (int, error) {
	text := env(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s is %q: want a number", name, text)
	}
	return n, nil
}
