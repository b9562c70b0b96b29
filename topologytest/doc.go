// Package topologytest runs a topology in a test, without a broker and without waiting:
// it is a second shell round the task code that runs in production. Topics have several
// partitions, transactions commit and abort, the clock is the test's, and tasks crash and
// are restored from their changelogs.
//
//	d := topologytest.New(t, topo, topologytest.Partitions("tweets", 4))
//	in := topologytest.Input(d, "tweets", serde.String, serde.String)
//	out := topologytest.Output(d, "tweets-filtered", serde.String, serde.String)
//
//	in.Send("1", "kafka is a log", time.UnixMilli(1000))
//	got := out.Records()
//
// A [Driver] does everything in the calls of the test, on the test's goroutine; there is
// nothing to wait for. A failure of the topology fails the test, unless it happens inside
// [Driver.Try]; a failure to start is what [TryNew] returns.
//
// # What becomes visible when
//
// A record that is sent is processed at once. What a task sends in doing so becomes
// visible, to [OutputTopic.Records] and to other tasks, when its transaction commits;
// what it sent in an aborted one never does. By default every Send, Advance and crash
// ends with commits until nothing is left to do, so that a record has gone all the way
// through the topology. With [CommitInterval] a commit comes when the clock has advanced
// so far, when a processor asks for it, and at [Driver.Commit]; a record then needs one
// interval for each sub-topology that it passes.
//
// Inside a task, records are processed in order of the timestamps at the heads of its
// partitions, with all partitions there. Tasks take turns in a fixed order, so equal
// calls give equal results. Do not take the order between different tasks for one that
// production has: only the order inside a partition is.
//
// # What is not simulated
//
// Rebalances between processes (a crash with [LoseDisk] is what a moved task goes
// through), lost or slow brokers, refusals by the broker other than by size, compaction
// and retention of topics, and pauses: a Retry does not wait.
package topologytest
