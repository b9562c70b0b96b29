package txn

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Result of a commit that succeeded.
type Result struct {
	// Positions of the tracked topics that this transaction wrote: behind its last record, without its marker.
	Positions map[string]map[int32]int64
	Produced  int64         // records
	Took      time.Duration // from the call of Commit
}

// Commit ends the open transaction together with the given input positions, in the name of id. If nothing was produced
// it commits the positions alone; if there are none either, it does nothing.
//
// A nil error means committed. Any other end is an *Error (see the package comment). Cancelling ctx before the last
// step aborts; the last step, EndTransaction, has a timeout of its own, because an interrupted one has an unknown outcome: after
// the end of ctx it goes on for half a second.
func (p *Producer) Commit(ctx context.Context, id Identity, offsets []OffsetCommit) (Result, error) {
	begun := p.now()
	if !p.Transactional() {
		return Result{}, &Error{Aborted, "committing", errors.New("the producer has no transactional ID: use Flush and CommitOffsets")}
	}
	if err := p.acks.first(); err != nil && !p.inTxn { // the transaction could not begin
		return Result{}, p.abort(ctx, "beginning a transaction", err)
	}
	if p.inTxn && p.produced == 0 {
		// An open transaction without a record exists in the client only. With offsets alone it would exist in the broker,
		// and kgo would never end it there.
		if err := p.Abort(ctx); err != nil {
			return Result{}, err
		}
	}
	if !p.inTxn {
		return Result{Took: p.now().Sub(begun)}, p.CommitOffsets(ctx, id, offsets)
	}
	if err := p.Settle(ctx, refuse); err != nil {
		return Result{}, p.abort(ctx, "flushing", err)
	}
	if err := p.commit(ctx, id, offsets); err != nil {
		return Result{}, err
	}
	p.caution.committed()
	result := Result{Positions: p.acks.take(), Produced: p.produced, Took: p.now().Sub(begun)}
	mergeAll(p.positions, result.Positions)
	p.reset()
	if err := p.hook(AfterEnd); err != nil {
		return result, err
	}
	return result, nil
}

func (p *Producer) commit(ctx context.Context, id Identity, offsets []OffsetCommit) error {
	if err := p.hook(BeforeFlush); err != nil {
		return err
	}
	if err := p.flush(ctx); err != nil {
		return p.abort(ctx, "flushing", err)
	}
	if err := p.hook(AfterFlush); err != nil {
		return err
	}
	if !p.acks.acceptedAny() {
		return p.commitEmpty(ctx, id, offsets)
	}
	if err := p.joinOffsets(ctx, id, offsets); err != nil {
		return p.abort(ctx, "adding offsets to the transaction", err)
	}
	if err := p.hook(AfterOffsets); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return p.abort(ctx, "committing", ctx.Err())
	}
	if err := p.hook(BeforeEnd); err != nil {
		return err
	}
	return p.end(ctx)
}

// commitEmpty commits the positions alone: every record of the transaction was refused,
// and left out. kgo would abort such a transaction in silence, and the positions with it.
func (p *Producer) commitEmpty(ctx context.Context, id Identity, offsets []OffsetCommit) error {
	if err := p.Abort(ctx); err != nil {
		return err
	}
	return p.CommitOffsets(ctx, id, offsets)
}

// end sends the commit. Whatever it answers but success leaves the outcome open: the request may have arrived.
func (p *Producer) end(ctx context.Context) error {
	ctx, cancel := p.uninterrupted(ctx)
	defer cancel()
	if err := p.settle(ctx); err != nil {
		return p.abort(ctx, "committing", err)
	}
	err := p.cl.EndTransaction(ctx, kgo.TryCommit)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.OperationNotAttempted): // kgo's own: nothing was sent
		return p.abort(ctx, "committing", err)
	}
	_ = p.die("committing", err)
	return &Error{Unknown, "committing", err}
}

var errUnsettled = errors.New("the client does not know the partitions of a topic that it has written to")

// settle waits until kgo holds the partitions of every topic that has a record of this transaction. It looks there for what it has to end, and stores
// a topic's first partitions only after it has handed on the records that waited for them, whose answers may come sooner. Before that, EndTransaction
// would abort what it is to commit, or would end nothing, and return nil.
func (p *Producer) settle(ctx context.Context) error {
	unsettled := func(err error) bool { return errors.Is(err, errUnsettled) }
	return retry(ctx, unsettled, func(context.Context) error {
		if p.acks.settle(p.holds) {
			return nil
		}
		return errUnsettled
	})
}

// kgoHolds reports whether the client holds a partition, be it with an error.
func (p *Producer) kgoHolds(topic string, partition int32) bool {
	leader, _, err := p.cl.PartitionLeader(topic, partition)
	return leader >= 0 || err != nil
}

// Flush waits until the broker has every record. At least once it comes before the caller applies its changes to its
// local stores; CommitOffsets comes after. On an error the tasks go back to their last committed state, though some of
// the records may be visible. A transactional producer flushes as part of Commit.
func (p *Producer) Flush(ctx context.Context) error {
	if p.Transactional() {
		return p.flush(ctx)
	}
	if p.dead != nil {
		return &Error{Fatal, "flushing", p.dead}
	}
	err := p.hook(BeforeFlush)
	if err != nil {
		return err
	}
	if err = p.Settle(ctx, refuse); err == nil {
		err = p.flush(ctx)
	}
	positions := p.acks.take()
	p.reset()
	p.flushed = nil
	if err == nil {
		p.flushed = positions
		mergeAll(p.positions, positions)
		p.caution.committed()
		return p.hook(AfterFlush)
	}
	if killsProducer(err) || ctx.Err() != nil {
		// Records that are still on their way would be counted to the next flush.
		return p.die("flushing", err)
	}
	return &Error{Aborted, "flushing", err}
}

// flush waits for all answers and returns the first failure. Within a transaction it waits no longer than the broker
// keeps it open.
func (p *Producer) flush(ctx context.Context) error {
	if p.Transactional() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.TransactionTimeout)
		defer cancel()
	}
	err := p.cl.Flush(ctx)
	if err == nil {
		err = p.acks.wait(ctx)
	}
	if failure := p.acks.first(); failure != nil {
		return failure
	}
	return err
}

// Abort drops the open transaction; at least once, the records that are not yet on their
// way. After an error, which is Fatal, the producer is replaced; nothing of the
// transaction becomes visible in either case. When ctx has ended it goes on for half a
// second.
func (p *Producer) Abort(ctx context.Context) error {
	if p.dead != nil {
		return &Error{Fatal, "aborting", p.dead}
	}
	defer p.reset()
	defer p.acks.take()
	if !p.inTxn && p.acks.allAnswered() {
		return nil
	}
	ctx, cancel := p.uninterrupted(ctx)
	defer cancel()
	err := p.cl.AbortBufferedRecords(ctx)
	if err == nil {
		err = p.acks.wait(ctx)
	}
	if err == nil && !p.inTxn { // at least once: what was written stays
		return nil
	}
	if err == nil {
		err = p.settle(ctx)
	}
	if err == nil {
		err = p.cl.EndTransaction(ctx, kgo.TryAbort)
		if err != nil {
			// The second attempt renews the producer ID, which aborts whatever the first has left open. It says nothing of an
			// ID that cannot be renewed.
			if err = p.cl.EndTransaction(ctx, kgo.TryAbort); err == nil {
				_, _, err = p.cl.ProducerID(ctx)
			}
		}
	}
	if err != nil {
		return p.die("aborting", err)
	}
	p.inTxn = false
	return nil
}

// abort ends a commit that failed with cause before EndTransaction, and returns its *Error.
func (p *Producer) abort(ctx context.Context, doing string, cause error) error {
	outcome := Aborted
	if isFencing(cause) {
		outcome = Fenced
	}
	p.log.Info("transaction aborted", "transactional_id", p.cfg.TransactionalID, "doing", doing, "error", cause)
	if killsProducer(cause) {
		_ = p.die(doing, cause)
	}
	if p.Abort(ctx) != nil {
		outcome = worse(outcome)
	}
	return &Error{outcome, doing, cause}
}

// worse keeps Fenced, which tells the caller more than Fatal does; Dead tells it the rest.
func worse(o Outcome) Outcome {
	if o == Fenced {
		return Fenced
	}
	return Fatal
}

// Dead reports whether the producer has to be replaced.
func (p *Producer) Dead() bool { return p.dead != nil }

func (p *Producer) reset() {
	p.inTxn = false
	p.held = p.held[:0]
	p.produced = 0
	p.started = time.Time{}
}

// lastWords is how long a step that decides a transaction goes on when the caller's context has ended.
const lastWords = 500 * time.Millisecond

// uninterrupted gives the steps that decide a transaction a timeout of their own. The end of ctx does not interrupt them, but a broker that cannot be
// reached then does not hold the caller up for long.
func (p *Producer) uninterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.TransactionTimeout)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(lastWords)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-own.Done():
		}
	})
	return own, func() {
		stop()
		cancel()
	}
}

func (p *Producer) hook(s Step) error {
	if p.cfg.Hook == nil {
		return nil
	}
	if err := p.cfg.Hook(s); err != nil {
		return &Error{Crashed, string(s), err}
	}
	return nil
}
