package assignment

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// TaskID identifies a task: a sub-topology, and a partition of the topics that the
// sub-topology reads.
type TaskID struct {
	SubTopology int32
	Partition   int32
}

// String returns the form used in directories, logs and metrics: "0_3" is partition 3 of
// sub-topology 0.
func (t TaskID) String() string {
	return strconv.Itoa(int(t.SubTopology)) + "_" + strconv.Itoa(int(t.Partition))
}

// Compare orders tasks by sub-topology, then by partition.
func (t TaskID) Compare(o TaskID) int {
	return cmp.Or(cmp.Compare(t.SubTopology, o.SubTopology), cmp.Compare(t.Partition, o.Partition))
}

// ParseTaskID reads what [TaskID.String] writes, and nothing else. Signs and leading
// zeros are errors, so that no two names mean the same task.
func ParseTaskID(s string) (TaskID, error) {
	sub, partition, found := strings.Cut(s, "_")
	if !found {
		return TaskID{}, fmt.Errorf("task %q: want <sub-topology>_<partition>", s)
	}
	x, err1 := strconv.ParseInt(sub, 10, 32)
	y, err2 := strconv.ParseInt(partition, 10, 32)
	t := TaskID{SubTopology: int32(x), Partition: int32(y)}
	if err1 != nil || err2 != nil || x < 0 || y < 0 || t.String() != s {
		return TaskID{}, fmt.Errorf("task %q: want <sub-topology>_<partition>", s)
	}
	return t, nil
}
