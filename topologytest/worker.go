package topologytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/processor"
)

// worker runs tasks that share transactions.
type worker struct {
	d     *Driver
	tasks []*runner
	open  []pending // records that were sent in the open transaction
}

type pending struct {
	topic  string
	record Record
}

// runner is a task with its disk and its place in the input. It lives as long as the
// driver. task is nil while the task is stopped.
type runner struct {
	w      *worker
	id     processor.Task
	graph  *graph.Graph
	stores []*graph.Store
	inputs []task.Partition
	disk   *disk
	memory *task.Memory
	budget *engine.Budget

	task *task.Task
	fed  map[task.Partition]int64 // offset of the next record to pass to the task
}

// start opens the disk, restores the stores from their changelogs, and makes the task.
func (r *runner) start() error {
	if err := r.disk.open(); err != nil {
		return err
	}
	for _, s := range r.stores {
		if err := r.restore(s); err != nil {
			return fmt.Errorf("restore store %s: %w", s.Name, err)
		}
	}
	return r.make()
}

// restore applies a store's changelog up to its end or, if that is the topic of its
// table, up to the committed offset.
func (r *runner) restore(s *graph.Store) error {
	if !s.Spec.Logged() && s.FromTopic == nil {
		return nil
	}
	table, err := r.disk.db.Table(s.Name, s.Spec.Persistent())
	if err == nil {
		err = s.Spec.Prepare(table)
	}
	if err != nil {
		return err
	}
	topic := s.Spec.ChangelogTopic(r.w.d.o.applicationID)
	if s.FromTopic != nil {
		topic = s.FromTopic.Topic
	}
	from, _ := r.disk.db.Position(table, topic)
	records := r.w.d.logs.read(topic, r.id.Partition, from)
	if s.FromTopic != nil {
		to := r.w.d.committed[task.Partition{Topic: topic, Partition: r.id.Partition}].Offset
		records = records[:max(min(to-from, int64(len(records))), 0)]
	}
	if len(records) == 0 {
		return nil
	}
	batch := r.disk.db.NewBatch()
	defer batch.Close()
	of := &task.TableRows{From: s.FromTopic, Policy: r.w.d.o.policy, Sleep: noSleep}
	for _, record := range records {
		if err := restoreRow(s, of, batch.Table(table), topic, record); err != nil {
			return fmt.Errorf("offset %d: %w", record.Offset, err)
		}
	}
	batch.SetPosition(table, topic, records[len(records)-1].Offset+1)
	return r.disk.db.Apply(batch)
}

// restoreRow applies one record of a changelog.
func restoreRow(s *graph.Store, of *task.TableRows, rows *engine.TableBatch, topic string, record Record) error {
	row := engine.Stored{Value: record.Value, Timestamp: int64(record.Timestamp)}
	if s.FromTopic != nil {
		key, value, ok, err := of.Row(context.Background(), &inputs(topic, []Record{record})[0])
		if err != nil || !ok {
			return err
		}
		row.Value = value
		return s.Spec.Restore(rows, key, row)
	}
	var err error
	if row.Format, err = formatOf(record); err != nil {
		return err
	}
	return s.Spec.Restore(rows, record.Key, row)
}

func noSleep(context.Context, time.Duration) error { return nil }

// formatOf returns the number of the format of a changelog record's value.
func formatOf(record Record) (uint8, error) {
	for _, h := range record.Headers {
		if h.Key == store.FormatHeader {
			return store.ParseFormat(h.Value)
		}
	}
	return 0, nil
}

// make makes the task from its last commit, on the open disk.
func (r *runner) make() error {
	d := r.w.d
	r.fed = map[task.Partition]int64{}
	globals, err := d.globalRows()
	if err != nil {
		return err
	}
	r.budget = d.shared.NewBudget()
	cfg := task.Config{
		ApplicationID: d.o.applicationID,
		Graph:         r.graph,
		ID:            r.id,
		Whole:         d.o.javaOrder,
		Globals:       globals,
		DB:            r.disk.db,
		Budget:        r.budget,
		Out:           r.w,
		Policy:        d.o.policy,
		EveryUpdate:   d.o.everyUpdate,
		Combine:       d.o.combine,
		Logger:        d.o.logger,
		Observer:      observer{d.dropped},
		Memory:        r.memory,
		Misuse:        d.misuse,
		Foreign:       foreign,
		Now:           d.now,
		Sleep:         noSleep,
	}
	for _, p := range r.inputs {
		c := d.committed[p]
		cfg.Inputs = append(cfg.Inputs, task.Committed{Topic: p.Topic, Partition: p.Partition, Offset: c.Offset, Metadata: c.Metadata})
		r.fed[p] = c.Offset
	}
	t, err := task.New(cfg)
	r.task = t
	return err
}

// drop ends the task without a commit. The disk stays open.
func (r *runner) drop() error {
	if r.task == nil {
		return nil
	}
	err := r.task.Close()
	r.budget.Close()
	r.task = nil
	return err
}

// feed passes the visible records of the input to the task.
func (r *runner) feed() error {
	for _, p := range r.inputs {
		records := r.w.d.logs.read(p.Topic, p.Partition, r.fed[p])
		if len(records) == 0 {
			continue
		}
		r.fed[p] += int64(len(records))
		r.task.SetEnd(p.Topic, p.Partition, r.fed[p])
		if err := r.task.Add(p.Topic, p.Partition, inputs(p.Topic, records), 0); err != nil {
			return err
		}
	}
	return nil
}

// Send implements task.Outbox.
func (w *worker) Send(out graph.Output, _ processor.Metadata) error {
	partition, err := w.d.logs.choose(out.Topic, out.Partition, out.Key)
	if err != nil {
		return err
	}
	w.open = append(w.open, pending{out.Topic, Record{
		Partition: partition, Key: out.Key, Value: out.Value, Timestamp: out.Timestamp, Headers: out.Headers,
	}})
	return nil
}

// Partitions implements task.Outbox.
func (w *worker) Partitions(topic string) (int32, error) { return w.d.logs.partitionsOf(topic), nil }

// Cautious implements task.Outbox.
func (w *worker) Cautious(string) bool { return false }

// usualLimits are the limits of a topic without options. Nothing is compressed here.
var usualLimits = &task.Limits{MaxBytes: defaultMaxBytes, Setting: "max.message.bytes", Uncompressed: true}

// Limits implements task.Outbox.
func (w *worker) Limits(topic string, _ bool) *task.Limits {
	n := w.d.o.maxBytes[topic]
	if n <= 0 {
		return usualLimits
	}
	limits := *usualLimits
	limits.MaxBytes = n
	return &limits
}

// Oversized implements task.Outbox. It is never called, because the limits apply before
// compression.
func (w *worker) Oversized(graph.Output) int { return 0 }

// dirty reports whether there is something to commit.
func (w *worker) dirty() bool {
	return len(w.open) > 0 || slices.ContainsFunc(w.tasks, func(r *runner) bool { return r.task.Dirty() })
}

// commitRequested reports whether a processor asked for a commit, or the memory is used
// up.
func (w *worker) commitRequested() bool {
	return slices.ContainsFunc(w.tasks, func(r *runner) bool { return r.task.CommitRequested() || r.budget.Over() })
}

// commit commits the open transaction: outputs, offsets, and then the disks, except those
// of tasks that die before that.
func (w *worker) commit(dying []*runner) error {
	var offsets []task.Offset
	for _, r := range w.tasks {
		c, err := r.task.Begin()
		if err != nil {
			return err
		}
		offsets = append(offsets, c.Offsets...)
	}
	for _, p := range w.open {
		w.d.logs.append(p.topic, p.record)
	}
	w.open = nil
	for _, o := range offsets {
		w.d.committed[task.Partition{Topic: o.Topic, Partition: o.Partition}] = task.Committed{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, Metadata: o.Metadata}
	}
	for _, r := range w.tasks {
		if slices.Contains(dying, r) {
			continue
		}
		if err := r.task.Finish(r.changelogEnds()); err != nil {
			return err
		}
	}
	return nil
}

// changelogEnds returns the ends of the task's changelogs after a commit. No other task
// writes to them.
func (r *runner) changelogEnds() map[string]int64 {
	ends := make(map[string]int64, len(r.stores))
	for _, s := range r.stores {
		topic := s.Spec.ChangelogTopic(r.w.d.o.applicationID)
		if end := r.w.d.logs.end(topic, r.id.Partition); end > 0 {
			ends[topic] = end
		}
	}
	return ends
}

// abort returns the worker's tasks to their last commit.
func (w *worker) abort() error {
	w.open = nil
	for _, r := range w.tasks {
		if err := r.drop(); err != nil {
			return err
		}
	}
	for _, r := range w.tasks {
		if err := r.make(); err != nil {
			return err
		}
	}
	return nil
}

// crash aborts, and starts the dying tasks again from what is left of their disks.
func (w *worker) crash(dying []*runner, how Disk) error {
	if err := w.die(dying, how); err != nil {
		return err
	}
	return w.startAgain(dying, how)
}

// die aborts. With StaleDisk, the dying tasks miss the end of a commit.
func (w *worker) die(dying []*runner, how Disk) error {
	if how.kind == stale {
		if err := w.commit(dying); err != nil {
			return err
		}
	}
	w.open = nil
	for _, r := range w.tasks {
		if err := r.drop(); err != nil {
			return err
		}
	}
	return nil
}

// startAgain makes the tasks after die.
func (w *worker) startAgain(dying []*runner, how Disk) error {
	for _, r := range w.tasks {
		again := r.make
		if slices.Contains(dying, r) {
			if err := r.disk.crash(how); err != nil {
				return err
			}
			again = r.start
		}
		if err := again(); err != nil {
			return r.wrap(err)
		}
	}
	return nil
}

// stop drops all tasks, and ends their disks.
func (w *worker) stop(end func(*disk) error) error {
	w.open = nil
	var errs []error
	for _, r := range w.tasks {
		errs = append(errs, r.drop(), end(r.disk))
	}
	return errors.Join(errs...)
}
