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

// maxRounds is far beyond what any topology needs that comes to rest: a round takes
// records one topic further, in Java's order one record.
const maxRounds = 100_000

// untilIdle processes, and commits the workers that are due, or all, until there is
// nothing left to do. A topology that feeds itself never comes to that.
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
	return fmt.Errorf("the topology does not come to rest: after %d rounds of processing and committing there is more to do. Does it write to a topic that it reads?", maxRounds)
}

// process processes what is visible, and returns how many records that were.
func (d *Driver) process() (int, error) {
	total := 0
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

// portion is how many records a task processes in one go. In Java's order a commit
// follows each.
func (d *Driver) portion() int {
	if d.o.javaOrder {
		return 1
	}
	return 1 << 30
}

// guard runs a step of a task. If it asks for a replay, its worker aborts, and the step
// counts as one that has done something.
func (d *Driver) guard(w *worker, step func() (int, error)) (int, error) {
	n, err := step()
	var replay *task.ReplayError
	if errors.As(err, &replay) {
		return 1, w.abort()
	}
	return n, err
}

// commitDue commits the workers that have something to commit and whose processors asked
// for it, or all of them. It reports whether anything was committed.
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

// Commit commits all transactions, and processes and commits what becomes visible by
// that, until there is nothing left.
func (d *Driver) Commit() {
	d.t.Helper()
	d.do(d.commitAll)
}

func (d *Driver) commitAll() error { return d.untilIdle(true) }

// Advance moves the clock. On its way it stops whenever a wall-clock punctuator or a
// commit is due, and carries it out.
func (d *Driver) Advance(by time.Duration) {
	d.t.Helper()
	if by < 0 {
		d.t.Fatalf("topologytest: Advance(%v): the clock does not go back", by)
	}
	d.do(func() error { return d.advance(d.now.Add(by)) })
}

func (d *Driver) advance(target time.Time) error {
	for {
		at := d.nextStop(target)
		d.now = at
		if err := d.punctuate(); err != nil {
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

// nextStop returns when something is due, target at the latest.
func (d *Driver) nextStop(target time.Time) time.Time {
	if d.o.javaOrder {
		return target
	}
	stop := target
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
	for _, r := range d.tasks {
		if _, err := d.guard(r.w, func() (int, error) { return r.task.Punctuate(d.now) }); err != nil {
			return err
		}
	}
	return nil
}

// Crash kills the task that runs the node, or has the store, with the name, for the
// partition. The open transaction of its worker aborts, and all tasks of the worker go
// back to their last commit. Then the task starts again: it restores its stores from
// their changelogs and reads its input from its last committed offsets. disk says what is
// left of its directory; default: KeepDisk.
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

// CrashAll kills all tasks at once, as kill -9 of the process does.
func (d *Driver) CrashAll(disk ...Disk) {
	d.t.Helper()
	d.do(func() error {
		for _, w := range d.workers {
			if err := w.crash(w.tasks, choose(disk)); err != nil {
				return err
			}
		}
		return d.settle()
	})
}

func choose(disk []Disk) Disk {
	if len(disk) == 0 {
		return KeepDisk
	}
	return disk[0]
}

// Restart commits, stops all tasks, and starts them again, as a restart of the process
// does. After an error inside [Driver.Try] there is nothing left to commit: they start
// from the last commit before it.
func (d *Driver) Restart() {
	d.t.Helper()
	if d.end(); d.failure == nil {
		d.do(d.startAgain)
	}
}

// RestartWith is Restart with another version of the topology, with the topics, the
// committed offsets and the disks of the one before. A version that would lose or misread
// state is refused, as it is in production.
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

// end commits and stops all tasks, or forgets the failure that has stopped them.
func (d *Driver) end() {
	d.t.Helper()
	if d.failure != nil {
		d.failure, d.misuse = nil, &task.Misuse{}
		return
	}
	d.do(func() error { return errors.Join(d.commitAll(), d.stop()) })
}

func (d *Driver) startAgain() error {
	if err := d.startAll(); err != nil {
		return err
	}
	return d.settle()
}
