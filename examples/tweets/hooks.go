package main

import (
	"sync/atomic"

	"github.com/millrace-streams/millrace/processor"
)

// counter counts the records that were sent to the dead letter topic.
type counter struct{ n atomic.Int64 }

// OnError implements millrace.HookError.
func (c *counter) OnError(_ *processor.Error, action processor.Action) {
	if action == processor.DeadLetter {
		c.n.Add(1)
	}
}
