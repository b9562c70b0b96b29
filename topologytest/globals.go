package topologytest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/global"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
)

// globalRunner fills a global store, whose rows all tasks of the driver share. A record
// that is sent to the store's topic is applied before any task processes a record.
type globalRunner struct {
	d      *Driver
	global *graph.Global
	disk   *disk
	out    globalOut
	budget *engine.Budget
	writer *global.Writer  // nil while it is stopped
	fed    map[int32]int64 // offset of the next record to pass to the writer
}

// makeGlobals makes the runners of the global stores.
func (d *Driver) makeGlobals() {
	d.globals = nil
	for _, g := range d.graph.Globals {
		d.globals = append(d.globals, &globalRunner{d: d, global: g, disk: d.globalDisk(g), out: globalOut{&worker{d: d}}})
	}
}

// globalDisk returns the directory of a global store. Another version of the topology has
// the same one if it can read the rows.
func (d *Driver) globalDisk(g *graph.Global) *disk {
	return d.disk("global-" + global.Fingerprint(g))
}

// start opens the disk, and reads the topic from where the disk has it.
func (r *globalRunner) start() error {
	if err := r.disk.open(); err != nil {
		return err
	}
	at, written, err := global.Positions(r.disk.db, r.global)
	if err != nil {
		return r.wrap(err)
	}
	r.budget = r.d.shared.NewBudget()
	r.writer, err = global.New(global.Config{
		ApplicationID: r.d.o.applicationID, Global: r.global, DB: r.disk.db, Budget: r.budget, Out: r.out,
		Policy: r.d.o.policy, Logger: r.d.o.logger, Observer: observer{r.d.dropped}, Misuse: r.d.misuse, Foreign: foreign,
		Sleep: func(context.Context, time.Duration) error { return nil },
	}, global.Judge(at, written, r.topic(), r.d.now).At, r.d.now)
	if err != nil {
		r.writer = nil
		return r.wrap(err)
	}
	r.fed = map[int32]int64{}
	for p := range r.d.logs.partitionsOf(r.global.Topic.Name) {
		r.fed[p] = r.writer.At(p)
	}
	_, err = r.feed()
	return err
}

// topic describes the topic as it is now.
func (r *globalRunner) topic() global.Topic {
	topic := global.Topic{DeleteRetention: math.MaxInt64}
	name := r.global.Topic.Name
	for p := range r.d.logs.partitionsOf(name) {
		topic.Ranges = append(topic.Ranges, global.Range{Partition: p, End: r.d.logs.end(name, p)})
	}
	return topic
}

// feed applies the visible records of the topic, and returns their number.
func (r *globalRunner) feed() (n int, err error) {
	name := r.global.Topic.Name
	var batches []global.Batch
	for p := range r.d.logs.partitionsOf(name) {
		records := r.d.logs.read(name, p, r.fed[p])
		if len(records) == 0 {
			continue
		}
		n += len(records)
		r.fed[p] += int64(len(records))
		batches = append(batches, global.Batch{Partition: p, Inputs: inputs(name, records), Next: r.fed[p]})
	}
	if n == 0 {
		return 0, nil
	}
	if err := r.writer.Apply(batches, r.d.now); err != nil {
		return n, r.wrap(err)
	}
	// As in production, where the positions are then written again.
	return n, r.wrap(r.writer.Confirm(r.d.now))
}

// stop ends the writer. What was not applied is applied again after the next start.
func (r *globalRunner) stop(end func(*disk) error) error {
	if r.writer == nil {
		return end(r.disk)
	}
	err := r.writer.Close()
	r.budget.Close()
	r.writer = nil
	return errors.Join(err, end(r.disk))
}

// crash ends the writer, leaves the disk as the crash does, and starts again.
func (r *globalRunner) crash(how Disk) error {
	err := r.writer.Close()
	r.budget.Close()
	r.writer, r.out.open = nil, nil
	if err := errors.Join(err, r.disk.crash(how)); err != nil {
		return err
	}
	return r.start()
}

func (r *globalRunner) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("global store %s: %w", r.global.Store.Name, err)
}

// globalRows returns the readers of all global stores.
func (d *Driver) globalRows() (map[string]*engine.Reader, error) {
	rows := make(map[string]*engine.Reader, len(d.globals))
	for _, r := range d.globals {
		reader, err := r.writer.Rows()
		if err != nil {
			return nil, r.wrap(err)
		}
		rows[r.global.Store.Name] = reader
	}
	return rows, nil
}

// feedGlobals applies the visible records of all global topics, and returns their number.
func (d *Driver) feedGlobals() (total int, err error) {
	for _, r := range d.globals {
		n, err := r.feed()
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// globalOut sends the dead letters of a global store. It is a worker without tasks, whose
// transactions are those of the store.
type globalOut struct{ *worker }

// Flush implements global.Outbox.
func (o globalOut) Flush(func(task.Refusal) (*graph.Output, error)) error {
	for _, p := range o.open {
		o.d.logs.append(p.topic, p.record)
	}
	o.open = nil
	return nil
}
