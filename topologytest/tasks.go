package topologytest

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/processor"
)

// count returns the partitions of all topics that have more than one.
func (d *Driver) count(g *graph.Graph) (map[string]int32, error) {
	counts := map[string]int32{}
	if d.o.javaOrder {
		return counts, nil // every topic has one partition
	}
	maps.Copy(counts, d.o.partitions)
	read, err := g.PartitionCounts(func(topic string) (int32, error) { return max(counts[topic], 1), nil })
	for t, n := range read {
		counts[t.In(d.o.applicationID)] = n
	}
	return counts, err
}

// makeWorkers makes the tasks, one per partition of a sub-topology's largest topic, and
// distributes them to workers.
func (d *Driver) makeWorkers() {
	d.workers, d.tasks = nil, nil
	for range d.o.workers {
		d.workers = append(d.workers, &worker{d: d})
	}
	for _, g := range d.groups() {
		n := int32(0)
		for _, topic := range g.topics {
			n = max(n, d.logs.partitionsOf(topic))
		}
		for _, s := range g.stores {
			d.logs.counts[s.Spec.ChangelogTopic(d.o.applicationID)] = n
		}
		for partition := range n {
			d.addTask(g, processor.Task{SubTopology: g.id, Partition: partition, Partitions: n})
		}
	}
}

func (d *Driver) addTask(g group, id processor.Task) {
	w := d.workers[len(d.tasks)%len(d.workers)]
	r := &runner{w: w, id: id, graph: d.graph, stores: g.stores, disk: d.diskOf(g.name, id.Partition), memory: task.NewMemory()}
	for _, topic := range g.topics {
		if p := (task.Partition{Topic: topic, Partition: id.Partition}); p.Partition < d.logs.partitionsOf(topic) {
			r.inputs = append(r.inputs, p)
			d.position(p)
		}
	}
	d.tasks = append(d.tasks, r)
	w.tasks = append(w.tasks, r)
}

// diskOf returns the directory of a task. It is the same for all versions of the
// topology.
func (d *Driver) diskOf(sub string, partition int32) *disk {
	return d.disk(fmt.Sprintf("%s-%d", sub, partition))
}

// disk returns the disk with a name, and makes it if there is none.
func (d *Driver) disk(name string) *disk {
	if d.disks[name] == nil {
		dir := ""
		if d.base != "" {
			dir = filepath.Join(d.base, name)
		}
		d.disks[name] = newDisk(engine.Options{Dir: dir, Shared: d.shared, NoShortcuts: d.o.noShortcuts, SweepRows: d.o.sweepRows, MemTableSize: engine.MinMemTable})
	}
	return d.disks[name]
}

// position sets the start offset of an input partition without a committed offset.
func (d *Driver) position(p task.Partition) {
	if _, ok := d.committed[p]; ok {
		return
	}
	from := task.Committed{Topic: p.Topic, Partition: p.Partition, Metadata: task.NoTimes(0)}
	for _, n := range d.graph.Nodes {
		for _, t := range n.Topics {
			if n.SourceOpts.StartAt == graph.Latest && t.In(d.o.applicationID) == p.Topic {
				from.Offset = d.logs.end(p.Topic, p.Partition)
			}
		}
	}
	d.committed[p] = from
}

// group is what one task runs: a sub-topology or, with JavaOrder, all of them.
type group struct {
	id     int
	name   string
	topics []string
	stores []*graph.Store
}

func (d *Driver) groups() []group {
	var groups []group
	for _, sub := range d.graph.SubTopologies {
		g := group{id: sub.ID, name: sub.Name, stores: sub.Stores}
		for _, topic := range sub.Sources {
			g.topics = append(g.topics, topic.In(d.o.applicationID))
		}
		if d.o.javaOrder && len(groups) > 0 {
			groups[0].topics = append(groups[0].topics, g.topics...)
			groups[0].stores = slices.Concat(groups[0].stores, g.stores)
			continue
		}
		groups = append(groups, g)
	}
	return groups
}
