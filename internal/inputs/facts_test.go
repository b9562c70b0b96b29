package inputs

import (
	"reflect"
	"testing"

	"github.com/millrace-streams/millrace/internal/restore"
)

// Each partition is asked for once, although the records of the task may reach it on two
// ways, or come back to the task.
func TestReachedPartitions(t *testing.T) {
	t.Parallel()
	part := func(topic string, n int32) restore.Partition {
		return restore.Partition{Topic: topic, Partition: n, From: -1}
	}
	task := &Task{
		Partition: 1, Changelogs: []string{"own", "other"},
		Downstream: []restore.Partition{part("b", 0), part("a", 1), part("b", 0), part("own", 0), part("own", 1)},
	}
	want := []restore.Partition{part("a", 1), part("b", 0), part("other", 1), part("own", 0), part("own", 1)}
	if got := task.reached(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
