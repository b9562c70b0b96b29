package graph

import "github.com/millrace-streams/millrace/processor"

// SetOrigin names the input record that was the last to change the row that is forwarded
// next. Call it inside a function that was registered with OnFlush. Until that function
// returns, the task's Metadata, its errors and its dead letters name that record. input
// is the result of Task.Input while the record was processed, or nil. If the task keeps
// no origin, SetOrigin has no effect.
func SetOrigin(t Task, m processor.Metadata, input any) {
	if o, ok := t.(interface {
		SetOrigin(m processor.Metadata, input any)
	}); ok {
		o.SetOrigin(m, input)
	}
}
