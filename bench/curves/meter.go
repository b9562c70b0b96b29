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
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/bench/internal/usage"
)

// runConfig is one run of the bench.
type runConfig struct {
	workload   string
	records    int
	keys       int
	partitions int
	size       int // bytes of a value
	workers    int
	overlap    int // windows of a minute that a record is in
}

// result is what a run cost.
type result struct {
	cpu    float64 // µs per record, over the second half of the input
	memory float64 // peak of the anonymous memory, MB
	rate   float64 // records per second, over the second half of the input
}

// meter runs the bench and measures its process.
type meter struct {
	brokers []string
	program string
	dir     string
	admin   *kadm.Client
	input   runConfig // that the topic holds
	topic   string
	number  int // of runs
}

func newMeter(brokers []string, program, dir string) (*meter, error) {
	admin, err := kadm.NewOptClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, err
	}
	return &meter{brokers: brokers, program: program, dir: dir, admin: admin}, nil
}

func (m *meter) close() {
	_ = m.removeInput(context.Background())
	m.admin.Close()
}

// measure runs the bench over the whole input.
func (m *meter) measure(ctx context.Context, r runConfig) (res result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := m.fill(ctx, r); err != nil {
		return res, fmt.Errorf("input: %w", err)
	}
	m.number++
	application := fmt.Sprintf("curves-%d-%d", os.Getpid(), m.number)
	output := application + "-out"
	if _, err := m.admin.CreateTopic(ctx, int32(r.partitions), 1, nil, output); err != nil {
		return res, err
	}
	defer func() {
		removed := m.removeAll(context.WithoutCancel(ctx), application)
		err = errors.Join(err, removed)
	}()
	state := filepath.Join(m.dir, application)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, m.program)
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(),
		"BROKERS="+m.brokers[0], "APP_ID="+application, "STATE_DIR="+state, "WORKLOAD="+r.workload, "EOS=true",
		"THREADS="+strconv.Itoa(r.workers), "INPUT="+m.topic, "OUTPUT="+output, "WINDOWS="+strconv.Itoa(r.overlap))
	if err := cmd.Start(); err != nil {
		return res, err
	}
	res, err = m.watch(ctx, cmd.Process.Pid, application, int64(r.records))
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if failed := cmd.Wait(); err != nil || failed != nil {
		return res, fmt.Errorf("%w\n%s", errors.Join(err, failed), &stderr)
	}
	return res, os.RemoveAll(state)
}

// sample is what a process had used when it had processed a part of its input.
type sample struct {
	at   time.Time
	cpu  time.Duration
	done int64 // records
}

// watch follows a process until it has processed n records and has come to rest.
func (m *meter) watch(ctx context.Context, pid int, application string, n int64) (res result, err error) {
	var half, last sample
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for resting := 0; resting < 4; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return res, ctx.Err()
		}
		now := sample{at: time.Now()}
		if now.cpu, err = usage.CPU(pid); err != nil {
			return res, err
		}
		memory, err := usage.Memory(pid)
		if err != nil {
			return res, err
		}
		res.memory = max(res.memory, float64(memory)/1e6)
		if now.done, err = m.committed(ctx, application); err != nil {
			return res, err
		}
		if half.at.IsZero() && now.done >= n/2 {
			half = now
		}
		busy := now.cpu-last.cpu > 5*time.Millisecond
		if now.done < n || busy {
			resting = 0
			last = now
			continue
		}
		resting++
	}
	late := float64(n - half.done)
	if late <= 0 {
		return res, errors.New("the whole input was processed between two looks: use more records")
	}
	res.cpu = float64((last.cpu - half.cpu).Microseconds()) / late
	res.rate = late / last.at.Sub(half.at).Seconds()
	return res, nil
}

// committed returns how many records of the input the group has committed.
func (m *meter) committed(ctx context.Context, application string) (n int64, err error) {
	offsets, err := m.admin.FetchOffsetsForTopics(ctx, application, m.topic)
	if err != nil {
		if errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.NotCoordinator) {
			return 0, nil
		}
		return 0, err
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += max(o.At, 0) })
	return n, nil
}
