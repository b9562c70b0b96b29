// Flow measures what a steady flow of records costs: the CPU time of the application and
// of the broker, and the transactions per second, at 100, 1,000 and 10,000 records a
// second. The jobs are counting by value, and the example tweets (examples/tweets) on
// tweets like those of the bench's Spark job. It prints a table. A second table says what
// a count by value costs if no records come at all, with 64 partitions.
//
//	go run ./bench/flow -brokers 127.0.0.1:19092 -broker-pid 123
//
// With -app it measures other programs too, in the count by value. Each takes its
// configuration from the same environment variables as the bench (see bench/README.md):
//
//	go run ./bench/flow -broker-pid 123 -app kstreams=/bench/kstreams/run
//
// It needs Linux and a broker that nothing else uses. It takes three minutes per program,
// and five for the tweets. With -short it measures for a second each, which shows whether
// everything works; the figures mean nothing.
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

// rates are those of the flows, in records per second.
var rates = []int{100, 1_000, 10_000}

const flowPartitions, idlePartitions = 4, 64

// times say how long something lasts before and while it is measured.
type times struct{ warm, measure time.Duration }

var (
	counting = times{10 * time.Second, 20 * time.Second}
	// The windows of the tweets are a minute long, and are to be full. Batches are five
	// seconds long.
	tweeting = times{65 * time.Second, 20 * time.Second}
	// The start has been paid, and the garbage of the start too.
	idling = times{30 * time.Second, 20 * time.Second}
	short  = times{time.Second, time.Second}
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
	brief := flag.Bool("short", false, "measure for a second each, to see that everything works")
	flag.Parse()
	if *brief {
		counting, tweeting, idling = short, short, short
	}
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
	own, tweets := program{"millrace", filepath.Join(dir, "bench")}, program{"millrace", filepath.Join(dir, "tweets")}
	for _, p := range []struct{ path, of string }{{own.path, "bench"}, {tweets.path, "examples/tweets"}} {
		if output, err := exec.CommandContext(ctx, "go", "build", "-o", p.path, "github.com/millrace-streams/millrace/"+p.of).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", p.of, err, output)
		}
	}
	m, err := newMeter(brokers, pid, dir)
	if err != nil {
		return err
	}
	defer m.close()
	all := append(others, own)
	fmt.Println("| job | records/s | app | CPU of the app, µs per record | CPU of the broker, µs per record | transactions/s |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, of := range []struct {
		job      job
		programs []program
		lasts    times
	}{{countByValue, all, counting}, {tweetsJob, []program{tweets}, tweeting}} {
		for _, rate := range rates {
			for _, p := range of.programs {
				c, err := m.flow(ctx, of.job, p, rate, of.lasts)
				if err != nil {
					return fmt.Errorf("%s, %s at %d records a second: %w", of.job.name, p.name, rate, err)
				}
				fmt.Printf("| %s | %d | %s | %.0f | %.0f | %.1f |\n", of.job.name, rate, p.name, c.app, c.broker, c.transactions)
			}
		}
	}
	fmt.Println("\n| app, idle | CPU of the app, % of a core | CPU of the broker, % of a core | anonymous memory, MB |")
	fmt.Println("| --- | --- | --- | --- |")
	for _, p := range all {
		i, err := m.idle(ctx, countByValue, p, idling)
		if err != nil {
			return fmt.Errorf("%s, idle: %w", p.name, err)
		}
		fmt.Printf("| %s | %.2f | %.2f | %d |\n", p.name, 100*i.app, 100*i.broker, i.memory>>20)
	}
	return nil
}
