package runtime

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/resume"
)

// lacksOffset reports whether one of the inputs of a database has no committed offset.
// Inputs that the topology no longer has were not asked for, and do not count.
func lacksOffset(committed kadm.OffsetResponses, p engine.Progress) bool {
	for _, in := range p.Inputs {
		if at, asked := committed.Lookup(in.Topic, in.Partition); asked && at.At < 0 {
			return true
		}
	}
	return false
}

// outOfRangeError says that records after the committed offset are missing from the log,
// and the source has no rule for that.
type outOfRangeError struct {
	topic          string
	partition      int32
	at, start, end int64
	group          string
}

func (e *outOfRangeError) Error() string {
	return fmt.Sprintf("group %s has committed offset %d of %s/%d, but the log has offsets %d to %d: records were deleted before they were processed, or the topic was "+
		"created again. Set topology.OutOfRangeEarliest or topology.OutOfRangeLatest on the source, or reset the group's offsets", e.group, e.at, e.topic, e.partition, e.start, e.end)
}

// lostInput is an input whose committed offset was lost.
type lostInput struct {
	inputs.Partition
	task string
	loss resume.Loss
}

// lostOffsetsError says that tasks can only start by counting records twice or skipping
// some.
type lostOffsetsError struct {
	lost  []lostInput
	group string
	reset string
}

func (e *lostOffsetsError) Error() string {
	var lost, recreated []string
	for _, in := range e.lost {
		name := fmt.Sprintf("%v (task %s)", in.Partition, in.task)
		if in.loss == resume.Recreated {
			recreated = append(recreated, name)
		} else {
			lost = append(lost, name)
		}
	}
	tool := fmt.Sprintf("set the offsets with kafka-consumer-groups.sh --group %s --topic <topic>:<partition> --reset-offsets --to-offset <offset> --execute", e.group)
	var parts []string
	if len(lost) > 0 {
		parts = append(parts, fmt.Sprintf("group %s has lost its committed offsets of %s: they expired or were deleted, but the state that was made from these inputs "+
			"still exists. Reading from the start would count records twice; reading from the end would skip some. Start the process whose disk has the state, "+
			"or set Config.LostOffsets to RestartEarliest or RestartLatest for one start, or %s", e.group, strings.Join(lost, ", "), tool))
	}
	if len(recreated) > 0 {
		parts = append(parts, fmt.Sprintf("the topics of %s were deleted and created again, but the state that was made from the former ones still exists. "+
			"To continue with that state and the new records, set Config.RecreatedInputs to RestartEarliest or RestartLatest, or %s", strings.Join(recreated, ", "), tool))
	}
	return strings.Join(parts, "\n") + "\nOr, to count from the beginning, " + e.reset
}
