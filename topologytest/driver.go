package topologytest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topology"
)

// Driver runs one topology. Only the test's goroutine may use it.
type Driver struct {
	t         testing.TB
	o         options
	logs      *logs
	committed map[task.Partition]task.Committed
	shared    *engine.Shared
	base      string           // directory of the disks; empty if in memory
	disks     map[string]*disk // by sub-topology and partition
	workers   []*worker
	tasks     []*runner
	globals   []*globalRunner
	topology  *topology.Topology
	graph     *graph.Graph
	known     known

	now        time.Time
	lastCommit time.Time
	dropped    map[string]int64

	trying  int          // active calls of Try
	failure error        // if not nil, the tasks are stopped
	misuse  *task.Misuse // misuse by the tasks since the last failure
}

// New starts the topology. It is stopped when the test ends. An error, such as one that
// the Init of a processor returns, fails the test; see [TryNew].
func New(t testing.TB, topo *topology.Topology, opts ...Option) *Driver {
	t.Helper()
	d, err := TryNew(t, topo, opts...)
	if err != nil {
		t.Fatalf("topologytest: %v", err)
	}
	return d
}

// TryNew is like New, but returns the error if the topology does not start. Run would
// return the same error: that of a processor's Init, or of topics that do not fit
// together. An option that names a missing topic is an error, too.
func TryNew(t testing.TB, topo *topology.Topology, opts ...Option) (*Driver, error) {
	t.Helper()
	o := newOptions(opts)
	d := &Driver{
		t: t, o: o, now: o.start, lastCommit: o.start,
		logs:      newLogs(),
		known:     known{},
		committed: map[task.Partition]task.Committed{},
		disks:     map[string]*disk{},
		dropped:   map[string]int64{},
		shared:    engine.NewShared(sharedMemory),
		misuse:    &task.Misuse{},
	}
	if o.onDisk {
		d.base = t.TempDir()
	}
	t.Cleanup(func() {
		if err := d.stop((*disk).abandon); err != nil {
			t.Errorf("topologytest: stop: %v", err)
		}
		if err := d.misuse.Err(); err != nil && d.failure == nil {
			t.Errorf("topologytest: %v", err)
		}
		d.shared.Close()
	})
	if err := d.build(topo); err != nil {
		return nil, err
	}
	if err := d.Try(func() { d.do(d.startAll) }); err != nil {
		return nil, err
	}
	return d, nil
}

// sharedMemory is the memory of a driver's stores. It is enough for a test, and small
// enough for many drivers at once.
const sharedMemory = 16 << 20

// build takes the graph, counts the partitions of its topics, and makes its tasks.
func (d *Driver) build(topo *topology.Topology) error {
	g, err := graph.Of(topo)
	if err != nil {
		return err
	}
	if err := g.Conflicts(d.o.applicationID); err != nil {
		return err
	}
	if err := g.CheckDeadLetters(d.o.applicationID, d.o.policy.DeadLetterTopic); err != nil {
		return err
	}
	d.known.add(g, d.o)
	if err := d.known.checkOptions(d.o); err != nil {
		return err
	}
	if g, err = g.Resolve(g.Matching(d.o.applicationID, slices.Collect(maps.Keys(d.known)))); err != nil {
		return err
	}
	counts, err := d.count(g)
	if err != nil {
		return err
	}
	d.topology, d.graph, d.logs.counts = topo, g, counts
	d.makeGlobals()
	d.makeWorkers()
	return nil
}

// startAll starts the tasks. The global stores come first: tasks process no record
// without the rows that the topics have.
func (d *Driver) startAll() error {
	for _, r := range d.globals {
		if err := r.start(); err != nil {
			return err
		}
	}
	for _, r := range d.tasks {
		if err := r.start(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all tasks without a commit, and then their disks.
func (d *Driver) stop(end func(*disk) error) error {
	return d.step(func() error {
		var errs []error
		for _, w := range d.workers {
			errs = append(errs, w.stop(end))
		}
		for _, r := range d.globals {
			errs = append(errs, r.stop(end))
		}
		return errors.Join(errs...)
	})
}

// do runs one step of the driver, unless the topology has failed before.
func (d *Driver) do(f func() error) {
	d.t.Helper()
	if d.failure != nil {
		if d.trying == 0 {
			d.t.Fatalf("topologytest: the topology has stopped: call Restart first: %v", d.failure)
		}
		return
	}
	if err := d.step(f); err != nil {
		d.fail(err)
		return
	}
	d.checkMisuse()
}

// fail stops the topology, like an application whose Run returns err.
func (d *Driver) fail(err error) {
	d.t.Helper()
	d.failure = errors.Join(err, d.stop((*disk).close))
	if d.trying == 0 {
		d.t.Fatalf("topologytest: the topology has failed: %v", d.failure)
	}
}

// Try calls f. If the topology stops with an error, Try returns it, and the tasks are
// stopped as after the end of Run. Until [Driver.Restart] starts them again, calls of the
// driver have no effect in f, and fail the test outside of Try.
func (d *Driver) Try(f func()) error {
	d.t.Helper()
	d.trying++
	defer func() { d.trying-- }()
	f()
	d.checkMisuse()
	return d.failure
}

// Now returns the time on the driver's clock.
func (d *Driver) Now() time.Time { return d.now }

// Dropped returns how many records were dropped since New, by nodes (late, without a key)
// and by the error policy. If a record is processed again after a crash, it counts again.
func (d *Driver) Dropped() int64 {
	sum := int64(0)
	for _, n := range d.dropped {
		sum += n
	}
	return sum
}

// DropReasons returns the numbers of dropped records by reason; see [Driver.Dropped].
func (d *Driver) DropReasons() map[string]int64 { return maps.Clone(d.dropped) }

// Topic returns all records of a topic, in order of commit, and of offset inside a
// partition. Use full names for changelogs and repartition topics:
// <application>-<store>-changelog and <application>-<name>-repartition. Records that
// production would compact or delete are included. A topic that does not exist fails the
// test; see [Topics].
func (d *Driver) Topic(name string) []Record {
	d.t.Helper()
	d.mustRead(name)
	if t := d.logs.topics[name]; t != nil {
		return slices.Clone(t.order)
	}
	return nil
}

// Topics returns the names of all topics that were written, sorted.
func (d *Driver) Topics() []string { return d.logs.names() }

// Store returns a task's instance of the named store as S. S is the store interface of
// package state, windowstore, sessionstore or versionedstore, with the store's types. The
// store also shows uncommitted changes. It is valid until the next crash, restart or
// error. Do not write to it. A global store is the same in every partition.
func Store[S processor.Store](d *Driver, name string, partition int32) S {
	d.t.Helper()
	s, err := d.store(name, partition)
	if err != nil {
		d.t.Fatalf("topologytest: %v", err)
	}
	typed, ok := s.(S)
	if !ok {
		typed, ok = store.HandleOf[S](s)
	}
	if !ok {
		d.t.Fatalf("topologytest: store %s is a %T, not a %v: use the type of its spec", name, s, reflect.TypeFor[S]())
	}
	return typed
}

func (d *Driver) store(name string, partition int32) (processor.Store, error) {
	d.t.Helper()
	for _, r := range d.globals {
		if r.global.Store.Name == name && r.writer != nil {
			return r.writer.Store()
		}
	}
	r := d.find(name, partition)
	if r.task == nil {
		return nil, fmt.Errorf("the topology has stopped: %w", d.failure)
	}
	return r.task.Store(name)
}

// find returns the task that runs the node or has the store, for the given partition.
func (d *Driver) find(name string, partition int32) *runner {
	d.t.Helper()
	sub, ok := d.subTopologyOf(name)
	if d.graph.Global(name) != nil {
		d.t.Fatalf("topologytest: %q is a global store, which no single task has: use CrashAll or Restart", name)
	}
	if !ok {
		d.t.Fatalf("topologytest: no node or store is called %q; there are: %s", name, strings.Join(d.names(), ", "))
	}
	for _, r := range d.tasks {
		if r.id.Partition == partition && (r.id.SubTopology == sub || d.o.javaOrder) {
			return r
		}
	}
	d.t.Fatalf("topologytest: the sub-topology of %q has no partition %d", name, partition)
	return nil
}

func (d *Driver) subTopologyOf(name string) (int, bool) {
	for _, sub := range d.graph.SubTopologies {
		if slices.ContainsFunc(sub.Nodes, func(n *graph.Node) bool { return n.Name == name }) ||
			slices.ContainsFunc(sub.Stores, func(s *graph.Store) bool { return s.Name == name }) {
			return sub.ID, true
		}
	}
	return 0, false
}

func (d *Driver) names() []string {
	var names []string
	for _, n := range d.graph.Nodes {
		names = append(names, n.Name)
	}
	for _, s := range d.graph.Stores {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// observer counts dropped records.
type observer struct{ dropped map[string]int64 }

func (o observer) Dropped(_, reason string, _ processor.Metadata) { o.dropped[reason]++ }
func (observer) Errored(*processor.Error, processor.Action)       {}
func (observer) BufferFull(string, int64)                         {}
func (observer) Converted(string, uint8, int64, bool)             {}

// wrap names the task.
func (r *runner) wrap(err error) error {
	return fmt.Errorf("task %s: %w", r.id, err)
}
