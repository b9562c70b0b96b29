// Package taskid has the identity of tasks. All packages that tell tasks apart use it.
package taskid

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-streams/millrace/processor"
)

// ID identifies a task: a sub-topology, and a partition of the topics that the
// sub-topology reads.
type ID struct {
	SubTopology int32
	Partition   int32
}

// Of returns the ID of a task of a sub-topology, by the sub-topology's number in the
// graph.
func Of(subTopology int, partition int32) ID {
	return ID{SubTopology: int32(subTopology), Partition: partition}
}

// Task is the task as user code knows it. Partitions is the number of tasks that the
// sub-topology has.
func (id ID) Task(partitions int32) processor.Task {
	return processor.Task{SubTopology: int(id.SubTopology), Partition: id.Partition, Partitions: partitions}
}

// String returns the form used in directories, logs and metrics: "0_3" is partition 3 of
// sub-topology 0.
func (id ID) String() string {
	return strconv.Itoa(int(id.SubTopology)) + "_" + strconv.Itoa(int(id.Partition))
}

// Compare orders tasks by sub-topology, then by partition.
func (id ID) Compare(o ID) int {
	return cmp.Or(cmp.Compare(id.SubTopology, o.SubTopology), cmp.Compare(id.Partition, o.Partition))
}

// Parse reads what [ID.String] writes, and nothing else. Signs and leading zeros are
// errors, so that no two names mean the same task.
func Parse(s string) (ID, error) {
	sub, partition, found := strings.Cut(s, "_")
	if !found {
		return ID{}, fmt.Errorf("task %q: want <sub-topology>_<partition>", s)
	}
	x, err1 := strconv.ParseInt(sub, 10, 32)
	y, err2 := strconv.ParseInt(partition, 10, 32)
	id := ID{SubTopology: int32(x), Partition: int32(y)}
	if err1 != nil || err2 != nil || x < 0 || y < 0 || id.String() != s {
		return ID{}, fmt.Errorf("task %q: want <sub-topology>_<partition>", s)
	}
	return id, nil
}
