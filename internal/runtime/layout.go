package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
)

// layout is what the state in the directory, and the tasks of the group, depend on.
type layout struct {
	app    string
	graph  *graph.Graph
	shape  graph.Shape
	before recorded // by the run before; the zero value if there was none
	counts map[graph.Topic]int32
	// dirs are the numbers that stand for the sub-topologies in the names of directories.
	// They are not the sub-topologies' own numbers, because those change when something
	// is inserted into the topology.
	dirs map[string]int
}

// recorded is a layout as it is kept in the state directory.
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

// errPartitionsChanged is in the chain of errors about topics that have not as many
// partitions as they had.
var errPartitionsChanged = errors.New("the number of partitions has changed")

// tasks is the number of tasks of a sub-topology.
func (l *layout) tasks(sub int) (n int32) {
	for _, t := range l.graph.SubTopologies[sub].Sources {
		n = max(n, l.counts[t])
	}
	return n
}

// dirOf is the name of a task's directory.
func (l *layout) dirOf(id assignment.TaskID) string {
	return strconv.Itoa(l.dirs[l.graph.SubTopologies[id.SubTopology].Name]) + "_" + strconv.Itoa(int(id.Partition))
}

// taskOf is the task that has a directory, if there is still one.
func (l *layout) taskOf(dir string) (assignment.TaskID, bool) {
	id, err := assignment.ParseTaskID(dir)
	if err != nil {
		return id, false
	}
	for _, sub := range l.graph.SubTopologies {
		if number, ok := l.dirs[sub.Name]; ok && number == int(id.SubTopology) && id.Partition < l.tasks(sub.ID) {
			return assignment.TaskID{SubTopology: int32(sub.ID), Partition: id.Partition}, true
		}
	}
	return id, false
}

// readLayout reads what the directory was used with before.
func (s *Run) readLayout() error {
	s.layout = layout{app: s.cfg.ApplicationID, graph: s.graph, shape: s.graph.Shape(), dirs: map[string]int{}}
	if err := s.graph.Conflicts(s.cfg.ApplicationID); err != nil {
		return err
	}
	was, found, err := s.recordedLayout()
	if err != nil || !found {
		return err
	}
	s.layout.before, s.layout.dirs = was, was.Directories
	return nil
}

func (s *Run) recordedLayout() (was recorded, found bool, err error) {
	_, description, found := s.dir.Topology()
	if !found {
		return recorded{}, false, nil
	}
	if err := json.Unmarshal(description, &was); err != nil {
		return recorded{}, false, fmt.Errorf("the description of the topology in %s cannot be read: %w; remove the directory to restore its state from Kafka", s.dir.Path(), err)
	}
	if was.Directories == nil {
		was.Directories = map[string]int{}
	}
	return was, true, nil
}

// checkCounts compares the numbers of partitions with those that the directory was used
// with before.
func (s *Run) checkCounts() error {
	was := s.layout.before
	var problems []error
	for t, n := range s.layout.counts {
		before, known := was.Partitions[t.Name]
		if !known || before == n {
			continue
		}
		if s.independentOfCount(t) {
			s.log.Info("a topic has another number of partitions than before", "topic", t.In(s.cfg.ApplicationID), "before", before, "now", n)
			continue
		}
		problems = append(problems, fmt.Errorf("topic %s had %d partitions when this application ran last, and has %d now", t.In(s.cfg.ApplicationID), before, n))
	}
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return fmt.Errorf("%w: %w\nKeys would lie in other partitions than their state. Give the topics as many partitions as before, or %s",
		errPartitionsChanged, errors.Join(problems...), s.howToReset())
}

// howToReset is the advice that ends the errors about state that does not fit.
func (s *Run) howToReset() string {
	return "stop all processes and reset the application: delete its internal topics (" + s.cfg.ApplicationID + "-...-changelog, -...-repartition and -stores-registry), its group's offsets and its state directories (here " + s.dir.Path() + ")"
}

// independentOfCount says that nothing depends on the number of partitions of a topic:
// what reads it keeps no state and feeds nothing that does.
func (s *Run) independentOfCount(t graph.Topic) bool {
	for _, sub := range s.graph.SubTopologies {
		if !slices.Contains(sub.Sources, t) {
			continue
		}
		if len(sub.Stores) > 0 || slices.ContainsFunc(s.graph.Repartitions, func(p *graph.RepartitionTopic) bool { return p.From == sub.ID }) {
			return false
		}
	}
	return !t.Internal
}

// saveLayout writes the layout into the state directory; new sub-topologies get numbers
// there.
func (s *Run) saveLayout() error {
	l := &s.layout
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
	record := recorded{Shape: l.shape, Partitions: map[string]int32{}, Directories: l.dirs}
	if id := s.guarding.topic; id != (registry.TopicID{}) {
		record.Registry = id[:]
	}
	for t, n := range l.counts {
		record.Partitions[t.Name] = n
	}
	description, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("description of the topology: %w", err)
	}
	return s.dir.SetTopology(l.shape.Fingerprint(), description)
}
