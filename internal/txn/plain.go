package txn

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CommitOffsets commits input positions in the name of id, outside of any transaction and
// without a producer. It is for the positions at which tasks start. Each position needs
// its TopicID. CommitOffsets sends one request and does not retry. It refuses an empty
// identity, because the broker would accept it for any partition.
func CommitOffsets(ctx context.Context, cl *kgo.Client, group string, id Identity, offsets []OffsetCommit) error {
	if err := id.valid(); err != nil {
		return err
	}
	return commitOffsets(ctx, cl, group, id, offsets)
}

func commitOffsets(ctx context.Context, cl *kgo.Client, group string, id Identity, offsets []OffsetCommit) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID, req.InstanceID = group, id.Generation, id.MemberID, id.instance()
	for topic, commits := range byTopic(offsets) {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, commits[0].TopicID
		for _, c := range commits {
			tp := kmsg.NewOffsetCommitRequestTopicPartition()
			tp.Partition, tp.Offset, tp.LeaderEpoch, tp.Metadata = c.Partition, c.Offset, c.LeaderEpoch, &c.Metadata
			t.Partitions = append(t.Partitions, tp)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	var worst codes
	for _, t := range resp.Topics {
		for _, tp := range t.Partitions {
			worst.add(t.Topic, tp.Partition, tp.ErrorCode)
		}
	}
	return worst.err
}
