package wire

import (
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// Record and Context are what the processors of batches receive and use.
type (
	Record  = processor.Record[[]byte, Message]
	Context = processor.Context[[]byte, Message]
)

// Send passes a message to a child node of the processor. Its timestamp is the end of its
// batch.
func Send(ctx Context, child string, key []byte, m Message) {
	ctx.ForwardTo(child, Record{Key: key, Value: m, Timestamp: processor.Timestamp(m.To)})
}

// Once calls f once, soon after Init, in a punctuator. The task commits after a
// punctuator has run.
func Once(ctx Context, f func(Context) error) {
	var schedule processor.Schedule
	schedule = ctx.Every(time.Millisecond, processor.WallClock, func(ctx Context, _ time.Time) error {
		schedule.Cancel()
		return f(ctx)
	})
}
