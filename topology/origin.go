package topology

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// flushing tells the task which record was the last to change the row that is forwarded next, for the metadata and errors of what follows, and
// returns that record's headers.
func (i *instance) flushing(o engine.Origin) processor.Headers {
	graph.SetOrigin(i.task, processor.Metadata{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}, o.Input)
	return o.Headers
}
