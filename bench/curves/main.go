// Curves measures how the cost of a record grows: with the number of keys, partitions,
// workers and overlapping windows, and with the size of the records. It writes the
// pictures and the table of docs/performance.md.
//
//	go run ./bench/curves -brokers 127.0.0.1:19092
//
// It needs Linux and a broker that it may fill: it produces some 4 GB, and deletes its
// topics afterwards. It takes about ten minutes on two cores. Nothing else should run
// beside it.
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
	"regexp"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("curves: ")
	brokers := flag.String("brokers", "127.0.0.1:19092", "addresses of the brokers, separated by commas")
	out := flag.String("o", "docs/performance", "folder of the pictures and of the table")
	only := flag.String("only", "", "regular expression: measure only the curves whose names match, and leave the files of the others as they are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*brokers, ","), *out, *only); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, brokers []string, out, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	dir, err := os.MkdirTemp("", "curves")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bench")
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/millrace-streams/millrace/bench").CombinedOutput(); err != nil {
		return fmt.Errorf("build the bench: %w\n%s", err, output)
	}
	m, err := newMeter(brokers, program, dir)
	if err != nil {
		return err
	}
	defer m.close()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, c := range curves() {
		if !match.MatchString(c.name) {
			continue
		}
		if err := c.measure(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := c.write(out); err != nil {
			return err
		}
	}
	return nil
}
