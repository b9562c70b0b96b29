package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/statedir"
	"github.com/millrace-streams/millrace/internal/taskid"
)

// layout says which directory has the state of which task, and what the directories were
// used with before.
type layout struct {
	dir    *statedir.Dir
	graph  *graph.Graph
	before recorded // by the previous run; zero if there was none
	// dirs maps sub-topologies to the numbers in the names of directories. The
	// sub-topologies' own numbers are not used, because they change when an operator is
	// inserted into the topology.
	dirs map[string]int
}

// recorded is a layout as stored in the state directory.
type recorded struct {
	Shape graph.Shape
	// Partitions has the topics by their names in the topology. The names of repartition
	// topics lack the application ID.
	Partitions  map[string]int32
	Directories map[string]int
	Registry    []byte `json:",omitempty"` // ID of the registry's topic
}

// registry returns the ID of the registry's topic, zero if there was none.
func (r recorded) registry() (id registry.TopicID) {
	copy(id[:], r.Registry)
	return id
}

// readLayout reads the layout that the previous run has stored.
func readLayout(dir *statedir.Dir, g *graph.Graph) (*layout, error) {
	was, found, err := recordedLayout(dir)
	if err != nil {
		return nil, err
	}
	l := &layout{dir: dir, graph: g, dirs: map[string]int{}}
	if found {
		l.before, l.dirs = was, was.Directories
	}
	return l, nil
}

func recordedLayout(dir *statedir.Dir) (was recorded, found bool, err error) {
	_, description, found := dir.Topology()
	if !found {
		return recorded{}, false, nil
	}
	if err := json.Unmarshal(description, &was); err != nil {
		return recorded{}, false, fmt.Errorf("cannot read the description of the topology in %s: %w: remove the directory to restore its state from Kafka", dir.Path(), err)
	}
	if was.Directories == nil {
		was.Directories = map[string]int{}
	}
	return was, true, nil
}

// dirOf returns the name of a task's directory.
func (l *layout) dirOf(id taskid.ID) string {
	return strconv.Itoa(l.dirs[l.graph.SubTopologies[id.SubTopology].Name]) + "_" + strconv.Itoa(int(id.Partition))
}

// taskOf returns the task that owns a directory, if the plan still has it.
func (l *layout) taskOf(dir string, p *plan) (taskid.ID, bool) {
	sub, partition := l.subOf(dir)
	if sub == nil || partition >= p.tasks(sub.ID) {
		return taskid.ID{}, false
	}
	return taskid.Of(sub.ID, partition), true
}

// waits reports whether a directory belongs to a task that the plan does not have, but
// may have again: if the topology has patterns, a topic with its partition may come back.
func (l *layout) waits(dir string, p *plan) bool {
	sub, partition := l.subOf(dir)
	return sub != nil && partition >= p.tasks(sub.ID) && len(l.graph.Patterns()) > 0
}

// subOf returns the sub-topology and the partition of a directory. It returns nil if the
// topology no longer has the sub-topology.
func (l *layout) subOf(dir string) (*graph.SubTopology, int32) {
	id, err := taskid.Parse(dir)
	if err != nil {
		return nil, 0
	}
	for _, sub := range l.graph.SubTopologies {
		if number, ok := l.dirs[sub.Name]; ok && number == int(id.SubTopology) {
			return sub, id.Partition
		}
	}
	return nil, 0
}

// check compares the numbers of partitions with those of the previous run.
func (l *layout) check(p *plan, log *slog.Logger) error {
	var problems []error
	for t, n := range p.counts {
		before, known := l.before.Partitions[t.Name]
		if !known || before == n {
			continue
		}
		if independentOfCount(l.graph, t) {
			log.Info("the number of partitions of a topic has changed", "topic", p.name(t), "before", before, "now", n)
			continue
		}
		problems = append(problems, fmt.Errorf("topic %s had %d partitions in the last run of this application, and has %d now", p.name(t), before, n))
	}
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return fmt.Errorf("%w: %w\nKeys would be in other partitions than their state. Give the topics as many partitions as before, or %s",
		errPartitionsChanged, errors.Join(problems...), howToReset(p.application, l.dir))
}

// howToReset returns the advice at the end of errors about state that does not fit.
func howToReset(application string, dir *statedir.Dir) string {
	return "stop all processes and reset the application: delete its internal topics (" + application +
		"-...-changelog, -...-repartition, -...-topic and -stores-registry), its group's offsets and its state directories (here " + dir.Path() + ")"
}

// independentOfCount reports whether no state depends on the number of partitions of a
// topic: operators that read it keep no state, and feed none that do.
func independentOfCount(g *graph.Graph, t graph.Topic) bool {
	for _, sub := range g.SubTopologies {
		if !slices.Contains(sub.Sources, t) {
			continue
		}
		if len(sub.Stores) > 0 || slices.ContainsFunc(g.Repartitions, func(p *graph.RepartitionTopic) bool { return p.From == sub.ID }) {
			return false
		}
	}
	return !t.Internal
}

// save writes the layout into the state directory, and gives numbers to new
// sub-topologies. The ID of the registry's topic is zero if there is none.
func (l *layout) save(p *plan, registryTopic registry.TopicID) error {
	next := 0
	for _, number := range l.dirs {
		next = max(next, number+1)
	}
	for _, sub := range l.graph.SubTopologies {
		if _, ok := l.dirs[sub.Name]; !ok {
			l.dirs[sub.Name] = next
			next++
		}
	}
	shape := l.graph.Shape()
	record := recorded{Shape: shape, Partitions: map[string]int32{}, Directories: l.dirs}
	if registryTopic != (registry.TopicID{}) {
		record.Registry = registryTopic[:]
	}
	for t, n := range p.counts {
		record.Partitions[t.Name] = n
	}
	description, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("description of the topology: %w", err)
	}
	return l.dir.SetTopology(shape.Fingerprint(), description)
}
