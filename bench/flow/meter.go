package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/bench/internal/leftover"
	"github.com/millrace-streams/millrace/bench/internal/usage"
)

// cost is what a flow costs.
type cost struct {
	app, broker  float64 // µs per record
	transactions float64 // per second
}

// meter runs programs and measures them.
type meter struct {
	brokers []string
	broker  int // process ID
	dir     string
	client  *kgo.Client
	admin   *kadm.Client
	number  int // of runs
}

const (
	partitions = 4
	words      = 10_000
	valueSize  = 100
)

func newMeter(brokers []string, pid int, dir string) (*meter, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	return &meter{brokers: brokers, broker: pid, dir: dir, client: client, admin: kadm.NewClient(client)}, nil
}

func (m *meter) close() { m.client.Close() }

// measure runs a program while records come at a rate.
func (m *meter) measure(ctx context.Context, p program, rate int) (c cost, err error) {
	m.number++
	application := fmt.Sprintf("flow-%d-%d", os.Getpid(), m.number)
	in, out := application+"-in", application+"-out"
	if _, err := m.admin.CreateTopics(ctx, partitions, 1, nil, in, out); err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, m.remove(context.WithoutCancel(ctx), application)) }()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(),
		"BROKERS="+m.brokers[0], "APP_ID="+application, "STATE_DIR="+filepath.Join(m.dir, application), "WORKLOAD=countbyvalue",
		"EOS=true", "THREADS=2", "INPUT="+in, "OUTPUT="+out)
	// A script may start the program, so both are in a group of processes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return c, err
	}
	c, err = m.watch(ctx, cmd.Process.Pid, in, rate)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	if ended := cmd.Wait(); err != nil {
		return c, fmt.Errorf("%w\n%s", errors.Join(err, ended), &stderr)
	}
	return c, nil
}

// watch produces at a rate, and returns what the process costs after it has become warm.
func (m *meter) watch(ctx context.Context, pid int, in string, rate int) (c cost, err error) {
	if err := m.produce(ctx, in, rate, warm); err != nil {
		return c, err
	}
	count, err := m.countTransactions(ctx)
	if err != nil {
		return c, err
	}
	app, err1 := usage.CPU(pid)
	broker, err2 := usage.CPU(m.broker)
	if err := errors.Join(err1, err2, m.produce(ctx, in, rate, measure)); err != nil {
		return c, err
	}
	appAfter, err1 := usage.CPU(pid)
	brokerAfter, err2 := usage.CPU(m.broker)
	n, err3 := count()
	records := float64(rate) * measure.Seconds()
	return cost{
		app:          float64((appAfter - app).Microseconds()) / records,
		broker:       float64((brokerAfter - broker).Microseconds()) / records,
		transactions: float64(n) / measure.Seconds(),
	}, errors.Join(err1, err2, err3)
}

// produce writes records at a rate for some time. The value's first word is the one that
// is counted.
func (m *meter) produce(ctx context.Context, topic string, rate int, during time.Duration) error {
	const step = 10 * time.Millisecond
	var failed atomic.Pointer[error]
	padding := strings.Repeat("x", valueSize)
	tick := time.NewTicker(step)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for elapsed := time.Duration(0); elapsed < during; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		elapsed = min(time.Since(start), during)
		for ; sent < int(elapsed.Seconds()*float64(rate)); sent++ {
			key := "word-" + strconv.Itoa(sent*7919%words)
			value := key + " " + strconv.Itoa(sent) + " " + padding
			m.client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
				}
			})
		}
	}
	if err := m.client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// transactionLog is where the broker notes the state of transactions.
const transactionLog = "__transaction_state"

// countTransactions returns a function that returns how many transactions have been
// committed since.
func (m *meter) countTransactions(ctx context.Context) (func() (int, error), error) {
	from, err := m.admin.ListEndOffsets(ctx, transactionLog)
	if err != nil {
		return nil, err
	}
	return func() (n int, err error) {
		to, err := m.admin.ListEndOffsets(ctx, transactionLog)
		if err != nil {
			return 0, err
		}
		offsets := map[string]map[int32]kgo.Offset{transactionLog: {}}
		left := 0 // records to read
		to.Each(func(end kadm.ListedOffset) {
			if begin, ok := from.Lookup(end.Topic, end.Partition); ok && begin.Offset < end.Offset {
				offsets[transactionLog][end.Partition] = kgo.NewOffset().At(begin.Offset)
				left += int(end.Offset - begin.Offset)
			}
		})
		if left == 0 {
			return 0, nil
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(m.brokers...), kgo.ConsumePartitions(offsets))
		if err != nil {
			return 0, err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		for left > 0 {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return n, err
			}
			fetches.EachRecord(func(r *kgo.Record) {
				left--
				value := kmsg.NewTxnMetadataValue()
				if r.Value != nil && value.ReadFrom(r.Value) == nil && value.State == kmsg.TransactionStateCompleteCommit {
					n++
				}
			})
		}
		return n, nil
	}, nil
}

// remove deletes the topics of an application, and its group.
func (m *meter) remove(ctx context.Context, application string) error {
	_, _ = m.admin.DeleteGroup(ctx, application) // it may not be empty yet
	return leftover.RemoveTopics(ctx, m.admin, application)
}
