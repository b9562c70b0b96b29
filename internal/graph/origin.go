package graph

import "github.com/millrace-streams/millrace/processor"

// SetOrigin says, inside a function that was registered with OnFlush, which input record
// was the last to change what is forwarded next: until the function returns, the task's
// Metadata, its errors and its dead letters name that record. input is what Task.Input
// returned while the record was processed, or nil. A task that does not keep one is left
// alone.
func SetOrigin(t Task, m processor.Metadata, input any) {
	if o, ok := t.(interface {
		SetOrigin(m processor.Metadata, input any)
	}); ok {
		o.SetOrigin(m, input)
	}
}
