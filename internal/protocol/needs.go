package protocol

import "github.com/twmb/franz-go/pkg/kmsg"

// Need is a request that the application requires.
type Need struct {
	Key     kmsg.Key
	Version int16  // the oldest sufficient version
	Kafka   string // the first release with that version
	Why     string
}

// always has the requirements of both guarantees.
var always = []Need{
	{kmsg.JoinGroup, 5, "2.3", "a process that comes back gets its partitions without a rebalance"},
	{kmsg.SyncGroup, 3, "2.3", "the group knows the process by its instance ID"},
	{kmsg.Heartbeat, 3, "2.3", "the group knows the process by its instance ID"},
	{kmsg.OffsetCommit, 7, "2.3", "the group knows the process by its instance ID"},
	{kmsg.LeaveGroup, 3, "2.4", "a process that closes gives its partitions to the others at once"},
	{kmsg.CreateTopics, 4, "2.4", "internal topics have the brokers' default replication factor"},
	{kmsg.InitProducerID, 0, "0.11", "a record that is sent again is written once"},
}

// exactlyOnce has the additional requirements of exactly-once.
var exactlyOnce = []Need{
	{kmsg.AddPartitionsToTxn, 0, "0.11", "results are part of a transaction"},
	{kmsg.AddOffsetsToTxn, 0, "0.11", "offsets are part of a transaction"},
	{kmsg.EndTxn, 0, "0.11", "results are part of a transaction"},
	{kmsg.TxnOffsetCommit, 3, "2.5", "a process that was taken for dead cannot commit any more"},
	{kmsg.OffsetFetch, 7, "2.5", "a task that starts waits for undecided transactions with its offsets"},
}

// Needs returns the requirements of a guarantee.
func Needs(exactly bool) []Need {
	if !exactly {
		return always
	}
	return append(always[:len(always):len(always)], exactlyOnce...)
}

// topicIDs is the version of Metadata that has topic IDs, since Kafka 2.8.
const topicIDs = 10
