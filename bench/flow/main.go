// Flow measures what a steady flow of records costs: the CPU time of the application and
// of the broker, and the transactions per second. It counts by value, at 100, 1,000 and
// 10,000 records a second, and prints a table. A second table says what the application
// costs if no records come at all, with 64 partitions.
//
//	go run ./bench/flow -brokers 127.0.0.1:19092 -broker-pid 123
//
// With -app it measures other programs too. Each takes its configuration from the same
// environment variables as the bench (see bench/README.md):
//
//	go run ./bench/flow -broker-pid 123 -app kstreams=/bench/kstreams/run
//
// It needs Linux and a broker that nothing else uses. It takes three minutes per program.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// What is measured: the rates, and how long each flow lasts before and while it is
// measured.
var rates = []int{100, 1_000, 10_000}

const (
	flowPartitions, idlePartitions = 4, 64

	warm     = 10 * time.Second
	idleWarm = 30 * time.Second // the start has been paid, the garbage of the start too
	measure  = 20 * time.Second
)

// program is a program that does the work.
type program struct{ name, path string }

func main() {
	log.SetFlags(0)
	log.SetPrefix("flow: ")
	brokers := flag.String("brokers", "127.0.0.1:19092", "addresses of the brokers, separated by commas")
	pid := flag.Int("broker-pid", 0, "process ID of the broker")
	var others []program
	flag.Func("app", "another program, as name=path; may be given several times", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok || name == "" || path == "" {
			return fmt.Errorf("want name=path")
		}
		others = append(others, program{name, path})
		return nil
	})
	flag.Parse()
	if *pid == 0 {
		log.Fatal("-broker-pid is missing: it is the process ID of the broker")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*brokers, ","), *pid, others); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, brokers []string, pid int, others []program) error {
	dir, err := os.MkdirTemp("", "flow")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	own := program{"millrace", filepath.Join(dir, "bench")}
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", own.path, "github.com/millrace-streams/millrace/bench").CombinedOutput(); err != nil {
		return fmt.Errorf("build the bench: %w\n%s", err, output)
	}
	m, err := newMeter(brokers, pid, dir)
	if err != nil {
		return err
	}
	defer m.close()
	fmt.Println("| records/s | app | CPU of the app, µs per record | CPU of the broker, µs per record | transactions/s |")
	fmt.Println("| --- | --- | --- | --- | --- |")
	for _, rate := range rates {
		for _, p := range append(others, own) {
			c, err := m.flow(ctx, p, rate)
			if err != nil {
				return fmt.Errorf("%s at %d records a second: %w", p.name, rate, err)
			}
			fmt.Printf("| %d | %s | %.0f | %.0f | %.1f |\n", rate, p.name, c.app, c.broker, c.transactions)
		}
	}
	fmt.Println("\n| app, idle | CPU of the app, % of a core | CPU of the broker, % of a core | anonymous memory, MB |")
	fmt.Println("| --- | --- | --- | --- |")
	for _, p := range append(others, own) {
		i, err := m.idle(ctx, p)
		if err != nil {
			return fmt.Errorf("%s, idle: %w", p.name, err)
		}
		fmt.Printf("| %s | %.2f | %.2f | %d |\n", p.name, 100*i.app, 100*i.broker, i.memory>>20)
	}
	return nil
}
