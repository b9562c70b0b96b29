package runtime

import "slices"

// Next returns the run that continues in place of this one, or nil if there is none. Call
// it after Run has returned nil. There is one if other topics match the patterns of the
// topology. It has the state directory, the place in the group, the counters and the
// contact with the brokers of this one, and must be run.
//
// The alternative would be to change the plan of a run that goes on. Everything that
// depends on the plan would then need to know of two of them at once: inputs, offsets,
// assignments, records of starts and stops. A topic seldom appears, and a run in order
// ends and starts within a second.
func (r *Run) Next() *Run {
	if !r.again {
		return nil
	}
	next := New(r.ctx, r.cfg)
	next.dir, next.counters, next.place = r.dir, r.counters, r.place
	next.health, next.phase.health = r.health, r.health
	next.known, next.matched = slices.Concat(r.matching.matched(), r.matching.more), r.matched
	return next
}
