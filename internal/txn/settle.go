package txn

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/batchsize"
)

var (
	// ErrNarrow ends a transaction in which a record is, before compression, larger than
	// its topic's batches may be. The next producer lets it through.
	ErrNarrow = errors.New("a record needs a producer that lets larger batches through")

	// ErrSlow ends a transaction in which the search for refused records takes too long.
	// The next transaction should be smaller.
	ErrSlow = errors.New("finding the refused records takes longer than the transaction may")
)

// Cautious reports whether the next record of a topic would be held back until Settle.
func (p *Producer) Cautious(topic string) bool {
	return p.caution.Any() && p.caution.of(topic)
}

// Widen lets records of a topic through that, before compression, are larger than its
// batches may be. This applies to the next producer. This producer does not let them
// through, so the open transaction will end with ErrNarrow.
func (p *Producer) Widen(topic string) {
	if p.wide[topic] {
		return
	}
	p.caution.Widen(topic)
	p.acks.failWith(ErrNarrow)
}

// holdBack keeps a record if its topic is written with caution. It reports whether it
// did.
func (p *Producer) holdBack(r *kgo.Record) bool {
	if !p.caution.of(r.Topic) {
		return false
	}
	p.held = append(p.held, r)
	return true
}

// Settle sends the records that Produce has held back, in groups that it waits for. It
// calls judge for each record that the broker refuses. judge may call Produce; Settle
// sends those records too. The error is the judge's. Any other failure is kept for Err,
// Flush and Commit.
func (p *Producer) Settle(ctx context.Context, judge Judge) error {
	defer func() { p.held = p.held[:0] }()
	for from := 0; from < len(p.held) && p.acks.first() == nil; {
		group := p.cut(p.held[from:])
		from += len(group)
		if err := p.sift(ctx, group, judge); err != nil {
			return err
		}
	}
	return nil
}

// cut returns the first records, as many as fit into one group. kgo has room for a group
// without sending any of it. The records of a wide topic in one group are no larger than
// one of its batches may be, because kgo no longer limits these batches.
func (p *Producer) cut(records []*kgo.Record) []*kgo.Record {
	records = records[:min(len(records), p.caution.size(), p.answers.records)]
	if len(p.wide) == 0 && p.answers.bytes == 0 {
		return records
	}
	all, bytes := 0, make(map[string]int)
	for i, r := range records {
		if all += userSize(r); i > 0 && p.answers.bytes > 0 && all > p.answers.bytes {
			return records[:i]
		}
		if !p.wide[r.Topic] {
			continue
		}
		n := batchsize.Bound(r.Key, r.Value, r.Headers)
		if before := bytes[r.Topic]; before > 0 && batchsize.Overhead+before+n > p.limit(r.Topic) {
			return records[:i]
		}
		bytes[r.Topic] += n
	}
	return records
}

func (p *Producer) sift(ctx context.Context, group []*kgo.Record, judge Judge) error {
	var judged error
	s := sieve{
		try: func(records []*kgo.Record) ([]refusal, error) { return p.try(ctx, records) },
		judge: func(r *kgo.Record, err error) (again bool, failure error) {
			again, judged = judge(r, err)
			return again, judged
		},
		pause: func(tries int) error { return doubtRetries.Sleep(ctx, tries) },
	}
	counts := make(map[string]int)
	for _, r := range group {
		counts[r.Topic]++
	}
	refused, err := s.sift(group)
	p.caution.sifted(counts, refused)
	if err != nil && judged == nil {
		p.acks.failWith(err)
	}
	return judged
}

// try sends records and waits until all are answered.
func (p *Producer) try(ctx context.Context, records []*kgo.Record) ([]refusal, error) {
	if p.now().Sub(p.started) > p.cfg.TransactionTimeout/2 {
		return nil, ErrSlow
	}
	// After the flush kgo has room for the records, so that Produce does not block.
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	p.acks.sift(records)
	p.answers.hold(func() {
		for _, r := range records {
			p.acks.add()
			p.cl.Produce(p.ctx, r, p.promise)
		}
	})
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	return p.acks.takeRefused(), nil
}

// refuse is the judge for callers that have none.
func refuse(r *kgo.Record, err error) (again bool, failure error) {
	return false, &RefusedError{Topic: r.Topic, Partition: r.Partition, Err: err}
}
