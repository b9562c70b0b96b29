package topologytest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/topology"
)

// settle processes and, without a commit interval, commits until there is nothing left to
// do.
func (d *Driver) settle() error { return d.untilIdle(d.o.commitInterval == 0) }

// maxRounds is more than any topology needs that comes to rest. A round takes records one
// topic further, or one record with JavaOrder.
const maxRounds = 100_000

// untilIdle processes, and commits the workers that are due, or all, until nothing is
// left to do. A topology that feeds itself never gets there.
func (d *Driver) untilIdle(all bool) error {
	for range maxRounds {
		n, err := d.process()
		if err != nil {
			return err
		}
		committed, err := d.commitDue(all)
		if err != nil {
			return err
		}
		if n == 0 && !committed {
			return nil
		}
	}
	return fmt.Errorf("the topology does not come to rest: after %d rounds of processing and committing there is more to do: check whether it writes to a topic that it reads", maxRounds)
}

// process processes the visible records, and returns their number. Those of global topics
// are applied first.
func (d *Driver) process() (int, error) {
	total, err := d.feedGlobals()
	if err != nil {
		return total, err
	}
	for _, r := range slices.Clone(d.tasks) {
		n, err := d.guard(r.w, func() (int, error) {
			if err := r.feed(); err != nil {
				return 0, err
			}
			return r.task.Process(d.now, d.portion())
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// portion is how many records a task processes at a time. With JavaOrder a commit follows
// each.
func (d *Driver) portion() int {
	if d.o.javaOrder {
		return 1
	}
	return 1 << 30
}

// guard runs a step of a task. If the step asks for a replay, its worker aborts, and the
// step counts as work.
func (d *Driver) guard(w *worker, step func() (int, error)) (int, error) {
	n, err := step()
	var replay *task.ReplayError
	if errors.As(err, &replay) {
		return 1, w.abort()
	}
	return n, err
}

// commitDue commits the workers that have something to commit and whose processors asked
// for a commit, or all of them. It reports whether anything was committed.
func (d *Driver) commitDue(all bool) (committed bool, err error) {
	for _, w := range d.workers {
		if !w.dirty() || !all && !w.commitRequested() {
			continue
		}
		committed = true
		if _, err := d.guard(w, func() (int, error) { return 0, w.commit(nil) }); err != nil {
			return committed, err
		}
	}
	if all {
		d.lastCommit = d.now
	}
	return committed, nil
}

// Commit commits all transactions. Then it processes and commits the records that became
// visible, until nothing is left.
func (d *Driver) Commit() {
	d.t.Helper()
	d.do(d.commitAll)
}

func (d *Driver) commitAll() error { return d.untilIdle(true) }

// Advance moves the clock forward. Whenever a wall-clock punctuator or a commit becomes
// due, the clock stops there and runs it. The time counts as idle for inputs that get no
// records (topology.IdleAfter).
func (d *Driver) Advance(by time.Duration) {
	d.t.Helper()
	if by < 0 {
		d.t.Fatalf("topologytest: Advance(%v): the clock cannot go back: pass a positive duration", by)
	}
	d.do(func() error { return d.advance(d.now.Add(by)) })
}

func (d *Driver) advance(target time.Time) error {
	d.confirm()
	for {
		at := d.nextStop(target)
		d.now = at
		if err := d.punctuate(); err != nil {
			return err
		}
		if err := d.passIdle(); err != nil {
			return err
		}
		if err := d.settle(); err != nil {
			return err
		}
		if d.commitIsDue() {
			if _, err := d.commitDue(true); err != nil {
				return err
			}
			if err := d.settle(); err != nil {
				return err
			}
		}
		if !at.Before(target) {
			return nil
		}
	}
}

// nextStop returns when something is next due, or target if that is earlier.
func (d *Driver) nextStop(target time.Time) time.Time {
	if d.o.javaOrder {
		return target
	}
	stop := target
	if next := d.now.Add(idleStep); hasIdle(d.graph) && next.Before(stop) {
		stop = next
	}
	for _, r := range d.globals {
		if at, ok := r.writer.NextPunctuation(); ok && at.Before(stop) {
			stop = at
		}
	}
	for _, r := range d.tasks {
		if at, ok := r.task.NextPunctuation(); ok && at.Before(stop) {
			stop = at
		}
	}
	if d.o.commitInterval > 0 && d.dirty() {
		if at := d.lastCommit.Add(d.o.commitInterval); at.Before(stop) {
			stop = at
		}
	}
	if stop.Before(d.now) {
		return d.now
	}
	return stop
}

func (d *Driver) dirty() bool {
	return slices.ContainsFunc(d.workers, (*worker).dirty)
}

func (d *Driver) commitIsDue() bool {
	return d.o.commitInterval > 0 && d.dirty() && !d.now.Before(d.lastCommit.Add(d.o.commitInterval))
}

func (d *Driver) punctuate() error {
	for _, r := range d.globals {
		if err := r.writer.Punctuate(d.now); err != nil {
			return r.wrap(err)
		}
	}
	for _, r := range d.tasks {
		if _, err := d.guard(r.w, func() (int, error) { return r.task.Punctuate(d.now) }); err != nil {
			return err
		}
	}
	return nil
}

// Crash kills one task: the one that runs the named node, or has the named store, for the
// given partition.
//
//  1. The open transaction of its worker aborts, and all tasks of the worker go back to
//     their last commit.
//  2. The task starts again. It restores its stores from their changelogs and reads its
//     input from its last committed offsets.
//
// disk says what is left of its directory. Default: KeepDisk.
func (d *Driver) Crash(name string, partition int32, disk ...Disk) {
	d.t.Helper()
	r := d.find(name, partition)
	d.do(func() error {
		if err := r.w.crash([]*runner{r}, choose(disk)); err != nil {
			return err
		}
		return d.settle()
	})
}

// CrashAll kills all tasks and the writers of global stores at once, like kill -9 of the
// process.
func (d *Driver) CrashAll(disk ...Disk) {
	d.t.Helper()
	d.do(func() error {
		if err := d.crashAll(choose(disk)); err != nil {
			return err
		}
		return d.settle()
	})
}

func (d *Driver) crashAll(how Disk) error {
	for _, w := range d.workers {
		if err := w.die(w.tasks, how); err != nil {
			return err
		}
	}
	for _, r := range d.globals {
		if err := r.crash(how); err != nil {
			return err
		}
	}
	for _, w := range d.workers {
		if err := w.startAgain(w.tasks, how); err != nil {
			return err
		}
	}
	return nil
}

func choose(disk []Disk) Disk {
	if len(disk) == 0 {
		return KeepDisk
	}
	return disk[0]
}

// Restart commits, stops all tasks, and starts them again, like a restart of the process.
// After an error inside [Driver.Try] there is nothing to commit; the tasks then start
// from the last commit before the error.
func (d *Driver) Restart() {
	d.t.Helper()
	if d.end(); d.failure == nil {
		d.do(d.startAgain)
	}
}

// RestartWith is Restart with another version of the topology. Topics, committed offsets
// and disks are kept. Like in production, a version that would lose or misread state is
// refused.
func (d *Driver) RestartWith(topo *topology.Topology) {
	d.t.Helper()
	if d.end(); d.failure != nil {
		return
	}
	d.do(func() error {
		g, err := graph.Of(topo)
		if err != nil {
			return err
		}
		if err := g.Shape().Incompatible(d.graph.Shape()); err != nil {
			return err
		}
		if err := d.build(topo); err != nil {
			return err
		}
		return d.startAgain()
	})
}

// end commits and stops all tasks. If a failure has stopped them, it clears the failure.
func (d *Driver) end() {
	d.t.Helper()
	if d.failure != nil {
		d.failure, d.misuse = nil, &task.Misuse{}
		return
	}
	d.do(func() error { return errors.Join(d.commitAll(), d.stop((*disk).close)) })
}

func (d *Driver) startAgain() error {
	if err := d.startAll(); err != nil {
		return err
	}
	return d.settle()
}
