// Handwritten counts records and words with franz-go and Pebble alone, as plainly as a
// good engineer would without a stream-processing library. bench/compare runs it beside
// Millrace: the difference is what the library costs.
//
// It is exactly-once, has changelogs, and restores its counts from them. It lacks what a
// library adds: a member keeps no local state over a restart, a restore blocks its other
// partitions, and an error ends the process.
//
// The environment configures it, as bench's README.md says. The workloads are count and
// wordcount. EOS must be true.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := parse(os.Getenv)
	if err == nil {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "handwritten:", err)
		os.Exit(1)
	}
}

// config is what the environment says.
type config struct {
	brokers       []string
	application   string
	dir           string
	split         bool // count words, not records
	input, output string
	threads       int
	commit        time.Duration
	opts          []kgo.Opt // further options of all clients
}

func parse(env func(string) string) (config, error) {
	c := config{
		brokers:     strings.Split(env("BROKERS"), ","),
		application: env("APP_ID"),
		dir:         env("STATE_DIR"),
		split:       env("WORKLOAD") == "wordcount",
		input:       env("INPUT"),
		output:      env("OUTPUT"),
		threads:     1,
		commit:      100 * time.Millisecond,
	}
	if w := env("WORKLOAD"); w != "count" && w != "wordcount" {
		return c, fmt.Errorf("WORKLOAD is %q: want count or wordcount", w)
	}
	if env("EOS") != "true" {
		return c, errors.New("EOS is not true: this program is always exactly-once")
	}
	if text := env("THREADS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return c, fmt.Errorf("THREADS is %q: want a positive number", text)
		}
		c.threads = n
	}
	if text := env("COMMIT_MS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return c, fmt.Errorf("COMMIT_MS is %q: want a positive number", text)
		}
		c.commit = time.Duration(n) * time.Millisecond
	}
	return c, nil
}

func (c config) repartition() string { return c.application + "-words-repartition" }
func (c config) changelog() string   { return c.application + "-counts-changelog" }

// counted is the topic whose keys are counted.
func (c config) counted() string {
	if c.split {
		return c.repartition()
	}
	return c.input
}

func (c config) clientOptions(more ...kgo.Opt) []kgo.Opt {
	return append(append([]kgo.Opt{kgo.SeedBrokers(c.brokers...)}, c.opts...), more...)
}

// run counts until ctx ends.
func run(ctx context.Context, c config) error {
	if err := c.makeTopics(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make([]error, c.threads)
	var workers sync.WaitGroup
	for i := range c.threads {
		workers.Go(func() {
			if err := work(ctx, c, i); err != nil {
				failures[i] = fmt.Errorf("worker %d: %w", i, err)
				cancel() // the others end too
			}
		})
	}
	workers.Wait()
	return errors.Join(failures...)
}

// makeTopics makes the internal topics, with as many partitions as the input has.
func (c config) makeTopics(ctx context.Context) error {
	cl, err := kgo.NewClient(c.clientOptions()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(ctx, c.input)
	if err != nil {
		return err
	}
	if err := topics.Error(); err != nil {
		return fmt.Errorf("topic %s: %w", c.input, err)
	}
	partitions, compact := int32(len(topics[c.input].Partitions)), "compact"
	policies := map[string]map[string]*string{c.changelog(): {"cleanup.policy": &compact}}
	if c.split {
		policies[c.repartition()] = nil
	}
	for topic, policy := range policies {
		if _, err := admin.CreateTopic(ctx, partitions, -1, policy, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}
