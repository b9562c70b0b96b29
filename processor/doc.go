// Package processor has what the other packages and the user's code share: records, the
// interface of processors, what a processor can do in its task, and the policy about
// errors.
//
// A program meets [Record] in every function that sees more than a value, and
// [ErrorPolicy] in its configuration. It implements [Processor] only for what the
// operators of package topology cannot say, and attaches it with topology.Process:
//
//	var totals = state.KeyValue("totals", serde.String, serde.Int64)
//
//	type summer struct{ totals state.KeyValueStore[string, int64] }
//
//	func (p *summer) Init(ctx processor.Context[string, int64]) error {
//		p.totals = state.Open(ctx, totals)
//		ctx.Every(time.Minute, processor.WallClock, p.report)
//		return nil
//	}
//
// # Goroutines and time
//
// A task calls its processors, punctuators and the functions of operators from one
// goroutine, one at a time, and waits for each: what blocks holds up the task, its
// commit, and all tasks of its worker. What has to wait takes [Context.Context], which
// ends when the task has to stop.
//
// # Errors
//
// User code returns errors; it may also panic, which counts as an error. The policy then
// decides by [Phase]: fail, skip, dead letter, or retry. An error that Init returns
// always ends the application.
package processor
