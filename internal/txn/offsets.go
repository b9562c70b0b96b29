package txn

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// maxRefreshes limits how many generations may end during one commit.
const maxRefreshes = 5

// CommitOffsets commits input positions outside of any transaction, in the name of id. It
// is used with at-least-once, and if nothing was produced. Without offsets it does
// nothing and succeeds. After an error with outcome Unknown, the positions may be
// committed or not. With Aborted and Fenced they are not committed.
func (p *Producer) CommitOffsets(ctx context.Context, id Identity, offsets []OffsetCommit) error {
	const doing = "committing offsets"
	if len(offsets) == 0 {
		return nil
	}
	if p.dead != nil {
		return &Error{Fatal, doing, p.dead}
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	unsure := false // a request was sent, but its answer never arrived
	err := p.owned(ctx, id, func(ctx context.Context, id Identity) error {
		err := commitOffsets(ctx, p.raw, p.cfg.Group, id, offsets)
		unsure = unsure || err != nil && !isAnswer(err)
		return err
	})
	switch {
	case err == nil:
		if err := p.hook(AfterOffsets); err != nil {
			return err
		}
		return nil
	case isFencing(err):
		return &Error{Fenced, doing, err}
	case unsure:
		return &Error{Unknown, doing, err}
	}
	return &Error{Aborted, doing, err}
}

// joinOffsets makes the positions part of the open transaction. With them, the group
// coordinator checks the identity.
//
// If there are no positions (only a punctuator's output, for example), a heartbeat is the
// check. That is enough: everything of this transaction is flushed. The next owner
// restores up to a high watermark after this transaction, and waits for its end.
func (p *Producer) joinOffsets(ctx context.Context, id Identity, offsets []OffsetCommit) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	if len(offsets) == 0 {
		return p.owned(ctx, id, p.heartbeat)
	}
	return p.owned(ctx, id, func(ctx context.Context, id Identity) error {
		if p.addsOffsets {
			if err := p.addOffsetsToTxn(ctx); err != nil {
				return err
			}
		}
		return p.txnOffsetCommit(ctx, id, offsets)
	})
}

// owned sends a request in the name of id. It repeats the request while the coordinator
// is busy or moves. It also repeats it in a newer generation of the same member, if
// Config.Refresh confirms that generation.
func (p *Producer) owned(ctx context.Context, id Identity, request func(context.Context, Identity) error) error {
	for range maxRefreshes {
		if err := id.valid(); err != nil {
			return err
		}
		err := retry(ctx, isRetriable, func(ctx context.Context) error { return request(ctx, id) })
		if p.cfg.Refresh == nil || !errors.Is(err, kerr.IllegalGeneration) {
			return err
		}
		fresh, lost := p.cfg.Refresh(ctx, id)
		if lost != nil {
			return fmt.Errorf("%w (%w)", err, lost)
		}
		if fresh.MemberID != id.MemberID || fresh == id {
			return err
		}
		id = fresh
	}
	return fmt.Errorf("%w: %d rebalances during one commit", kerr.IllegalGeneration, maxRefreshes)
}

func (p *Producer) txnOffsetCommit(ctx context.Context, id Identity, offsets []OffsetCommit) error {
	// From transaction.version 2 on, the epoch changes with every transaction.
	producerID, epoch, err := p.cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.cfg.TransactionalID, producerID, epoch
	req.Group, req.Generation, req.MemberID, req.InstanceID = p.cfg.Group, id.Generation, id.MemberID, id.instance()
	for topic, commits := range byTopic(offsets) {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic = topic
		for _, c := range commits {
			tp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			tp.Partition, tp.Offset, tp.LeaderEpoch, tp.Metadata = c.Partition, c.Offset, c.LeaderEpoch, &c.Metadata
			t.Partitions = append(t.Partitions, tp)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, p.raw)
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

// addOffsetsToTxn adds the group's offsets partition to the transaction. With
// transaction.version 2, TxnOffsetCommit does that itself.
func (p *Producer) addOffsetsToTxn(ctx context.Context) error {
	producerID, epoch, err := p.cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.cfg.TransactionalID, producerID, epoch, p.cfg.Group
	resp, err := req.RequestWith(ctx, p.raw)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// heartbeat asks the group whether id is still a member. A rebalance in progress is no
// error: the member keeps its partitions until it joins again.
func (p *Producer) heartbeat(ctx context.Context, id Identity) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID, req.InstanceID = p.cfg.Group, id.Generation, id.MemberID, id.instance()
	resp, err := req.RequestWith(ctx, p.raw)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if errors.Is(err, kerr.RebalanceInProgress) {
		return nil
	}
	return err
}

// learnVersions reads the cluster's transaction.version. Below 2, TxnOffsetCommit must be
// limited to version 4 and must follow AddOffsetsToTxn, even if the broker supports
// version 5. A separate client is limited to version 4: if the producer itself were
// limited, kgo would stop using transaction.version 2 for good.
func (p *Producer) learnVersions(ctx context.Context) error {
	if p.versionsKnown {
		return nil
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "millrace", "v1"
	resp, err := req.RequestWith(ctx, p.cl)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" && f.MaxVersionLevel >= 2 {
			p.versionsKnown = true
			return nil
		}
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetCommit), maxOffsetCommit)
	versions.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
	versions.SetMaxKeyVersion(int16(kmsg.AddOffsetsToTxn), 3)
	raw, err := kgo.NewClient(append(append([]kgo.Opt{}, p.cfg.Opts...), kgo.MaxVersions(versions))...)
	if err != nil {
		return err
	}
	p.raw, p.addsOffsets, p.versionsKnown = raw, true, true
	p.log.Debug("broker runs transactions before version 2", "transactional_id", p.cfg.TransactionalID)
	return nil
}

// codes keeps the error that decides the result of a request for several partitions. A
// fencing error takes precedence over any other error that ends the commit, and this one
// over an error that may be retried.
type codes struct{ err error }

func (c *codes) add(topic string, partition int32, code int16) {
	k := kerr.ErrorForCode(code)
	if k == nil {
		return
	}
	err := fmt.Errorf("topic %q partition %d: %w", topic, partition, k)
	switch {
	case c.err == nil, isFencing(err) && !isFencing(c.err), isRetriable(c.err) && !isRetriable(err):
		c.err = err
	}
}

func byTopic(offsets []OffsetCommit) map[string][]OffsetCommit {
	topics := make(map[string][]OffsetCommit)
	for _, o := range offsets {
		topics[o.Topic] = append(topics[o.Topic], o)
	}
	return topics
}
