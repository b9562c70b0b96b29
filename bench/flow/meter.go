package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// idleness is what a program costs without records.
type idleness struct {
	app, broker float64 // parts of a core
	memory      int64   // bytes
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

func newMeter(brokers []string, pid int, dir string) (*meter, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	return &meter{brokers: brokers, broker: pid, dir: dir, client: client, admin: kadm.NewClient(client)}, nil
}

func (m *meter) close() { m.client.Close() }

// flow measures what a program costs while the records of a job come at a rate.
func (m *meter) flow(ctx context.Context, j job, p program, rate int, lasts times) (c cost, err error) {
	err = m.run(ctx, j, p, flowPartitions, func(ctx context.Context, pid int, in string) error {
		flow := flow{records: j.records(), topic: in, rate: rate}
		if err := m.produce(ctx, flow, lasts.warm); err != nil {
			return err
		}
		count, err := m.countTransactions(ctx)
		if err != nil {
			return err
		}
		used, err := m.used(pid, func() error { return m.produce(ctx, flow, lasts.measure) })
		if err != nil {
			return err
		}
		n, err := count()
		records := float64(rate) * lasts.measure.Seconds()
		c = cost{
			app:          float64(used.app.Microseconds()) / records,
			broker:       float64(used.broker.Microseconds()) / records,
			transactions: float64(n) / lasts.measure.Seconds(),
		}
		return err
	})
	return c, err
}

// idle measures what a program costs while no records come.
func (m *meter) idle(ctx context.Context, j job, p program, lasts times) (i idleness, err error) {
	err = m.run(ctx, j, p, idlePartitions, func(ctx context.Context, pid int, _ string) error {
		if err := pause(ctx, lasts.warm); err != nil {
			return err
		}
		used, err := m.used(pid, func() error { return pause(ctx, lasts.measure) })
		if err != nil {
			return err
		}
		i.app, i.broker = used.app.Seconds()/lasts.measure.Seconds(), used.broker.Seconds()/lasts.measure.Seconds()
		i.memory, err = usage.Memory(pid)
		return err
	})
	return i, err
}

// run starts a program, and ends it when the activity has returned. If the program ends
// before, the context of the activity is cancelled, and run returns what the program
// said.
func (m *meter) run(ctx context.Context, j job, p program, partitions int32, activity func(ctx context.Context, pid int, in string) error) (err error) {
	m.number++
	application := fmt.Sprintf("flow-%d-%d", os.Getpid(), m.number)
	in, out := application+"-in", application+"-out"
	if _, err := m.admin.CreateTopics(ctx, partitions, 1, nil, in, out); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.remove(context.WithoutCancel(ctx), application)) }()
	var stderr bytes.Buffer
	cmd := j.command(p, started{brokers: m.brokers, application: application, dir: filepath.Join(m.dir, application), in: in, out: out})
	cmd.Stderr = &stderr
	// A script may start the program, so both are in a group of processes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	running, ended := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended(fmt.Errorf("the program has ended: %v", cmd.Wait()))
	}()
	err = activity(running, cmd.Process.Pid, in)
	if running.Err() != nil && ctx.Err() == nil {
		err = context.Cause(running)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	<-done
	if err != nil {
		return fmt.Errorf("%w\n%s", err, &stderr)
	}
	return nil
}

// used returns the CPU time that a program and the broker use during an activity.
func (m *meter) used(pid int, activity func() error) (used struct{ app, broker time.Duration }, err error) {
	app, err1 := usage.CPU(pid)
	broker, err2 := usage.CPU(m.broker)
	if err := errors.Join(err1, err2, activity()); err != nil {
		return used, err
	}
	appAfter, err1 := usage.CPU(pid)
	brokerAfter, err2 := usage.CPU(m.broker)
	used.app, used.broker = appAfter-app, brokerAfter-broker
	return used, errors.Join(err1, err2)
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flow is a flow of records to a topic.
type flow struct {
	records func() *kgo.Record // the next one, without its topic
	topic   string
	rate    int // records per second
}

// produce writes the records of a flow for some time.
func (m *meter) produce(ctx context.Context, f flow, during time.Duration) error {
	const step = 10 * time.Millisecond
	var failed atomic.Pointer[error]
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
		for ; sent < int(elapsed.Seconds()*float64(f.rate)); sent++ {
			r := f.records()
			r.Topic = f.topic
			m.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
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
