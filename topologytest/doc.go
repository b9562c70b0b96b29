// Package topologytest runs a topology in a test, without a broker and without waiting.
// It runs the same task code as production. Topics have several partitions, transactions
// commit and abort, the test controls the clock, and tasks crash and are restored from
// their changelogs.
//
//	d := topologytest.New(t, topo, topologytest.Partitions("tweets", 4))
//	in := topologytest.Input(d, "tweets", serde.String, serde.String)
//	out := topologytest.Output(d, "tweets-filtered", serde.String, serde.String)
//
//	in.Send("1", "kafka is a log", time.UnixMilli(1000))
//	got := out.Records()
//
// A [Driver] does all its work inside the calls of the test, on the test's goroutine.
// There is nothing to wait for. If the topology fails, the test fails, except inside
// [Driver.Try]. To test an error at the start, use [TryNew].
//
// A [Script] runs scenarios that are written as text. The scenarios of the operators are
// in topology/testdata/scenarios.
//
// # When results become visible
//
// A sent record is processed at once. The records that a task sends become visible, to
// [OutputTopic.Records] and to other tasks, when its transaction commits. Records of an
// aborted transaction never do.
//
// By default, every Send, Advance and crash ends with commits until nothing is left to
// do. A record has then gone all the way through the topology. With [CommitInterval], a
// commit happens when the interval has passed on the clock, when a processor asks for
// one, and at [Driver.Commit]. A record then needs one interval per sub-topology.
//
// Inside a task, the record with the smallest timestamp among the heads of the partitions
// is processed first, as if all partitions had their records. Tasks take turns in a fixed
// order, so equal calls have equal results. In production, only the order inside a
// partition is guaranteed; the order between tasks is not.
//
// # What is not simulated
//
//   - rebalances between processes (a crash with [LoseDisk] is what a moved task goes
//     through);
//   - lost or slow brokers;
//   - refusals by the broker, other than by size;
//   - compaction and retention of topics;
//   - pauses: a Retry does not wait;
//   - combining in front of an aggregation (see topology.Combine): the repartition topic
//     gets each record. The rows of the table are the same.
package topologytest
