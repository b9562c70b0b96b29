package stamp

import (
	"errors"
	"fmt"
)

// shape is committed with the open batches, and must fit when the task continues: the
// interval from which the end of the open batch follows, whether batches are by record
// time, and the number of tasks.
type shape struct {
	by           int64
	byRecordTime bool
	tasks        int32
}

// taskBits is enough for the number of partitions of a topic.
const taskBits = 20

func (s shape) encode() int64 {
	v := s.by<<(taskBits+1) | int64(s.tasks)
	if s.byRecordTime {
		v |= 1 << taskBits
	}
	return v
}

func decodeShape(v int64) shape {
	return shape{by: v >> (taskBits + 1), byRecordTime: v>>taskBits&1 == 1, tasks: int32(v & (1<<taskBits - 1))}
}

// fits returns an error for a change after which the open batches could not be completed.
func (s shape) fits(now shape) error {
	switch {
	case s.tasks != now.tasks:
		return fmt.Errorf("the number of its tasks changed from %d to %d: the partitions of its input topics must not change while batches are open; "+
			"use another application ID, or reset the application", s.tasks, now.tasks)
	case s.byRecordTime != now.byRecordTime:
		return errors.New("its batches changed between by arrival and by record time: give it another name")
	case s.byRecordTime && s.by != now.by:
		return fmt.Errorf("the interval changed from %d ms to %d ms: by record time, several batches are open at once, so it must not change; give it another name",
			s.by, now.by)
	}
	return nil
}
