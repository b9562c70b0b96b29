package graph

import "github.com/millrace-streams/millrace/processor"

// SetOrigin says, inside a function that was registered with OnFlush, which input record was the last to change what is forwarded next: until the
// function returns, the task's Metadata, and its errors, name that record. A task that does not keep one is left alone.
func SetOrigin(t Task, m processor.Metadata) {
	if o, ok := t.(interface{ SetOrigin(processor.Metadata) }); ok {
		o.SetOrigin(m)
	}
}
