// Package processor has what all other packages and user code share: records, the
// interface of processors, the context in which a processor runs, and the error policy.
//
// A program meets [Record] in every function that sees more than a value, and
// [ErrorPolicy] in its configuration. It implements [Processor] only for logic that the
// operators of package topology cannot express, and attaches it with topology.Process:
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
// A [FixedKeyProcessor] cannot change the key of a record, so that no repartitioning is
// needed behind it. topology.ProcessValues attaches it.
//
// # Goroutines and time
//
// A task calls its processors, its punctuators and the functions of its operators from
// one goroutine, one at a time, and waits for each call. A call that blocks therefore
// holds up the task, its commit, and all other tasks of the same worker. Pass
// [Context.Context] to calls that can block: it is cancelled when the task has to stop.
//
// # Errors
//
// User code returns errors. A panic counts as an error. The error policy decides by
// [Phase] what to do: fail, skip, dead letter, or retry. An error that Init returns
// always ends the application.
package processor
