package txn

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Result describes a commit that succeeded.
type Result struct {
	// Positions of the tracked topics that this transaction wrote: after its last record,
	// without its marker.
	Positions map[string]map[int32]int64
	Produced  int64         // records
	Took      time.Duration // from the call of Commit
}

// Commit ends the open transaction together with the given input positions, in the name
// of id. If nothing was produced, it commits the positions alone. If there are no
// positions either, it does nothing.
//
// A nil error means committed. Any other result is an *Error (see the package comment).
//
// If ctx ends before the last step, Commit aborts. The last step, EndTransaction, has its
// own timeout, because its outcome would be unknown if it were interrupted. After the end
// of ctx it continues for half a second.
func (p *Producer) Commit(ctx context.Context, id Identity, offsets []OffsetCommit) (Result, error) {
	begun := p.now()
	if !p.Transactional() {
		return Result{}, &Error{Aborted, "committing", errors.New("the producer has no transactional ID: use Flush and CommitOffsets")}
	}
	if err := p.acks.first(); err != nil && !p.inTxn { // the transaction could not begin
		return Result{}, p.abort(ctx, "beginning a transaction", err)
	}
	if p.inTxn && p.produced == 0 {
		// An open transaction without a record exists only in the client. With offsets
		// alone it would exist in the broker, and kgo would never end it there.
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

// commitEmpty commits the positions alone. It is for a transaction in which every record
// was refused and left out. kgo would abort such a transaction without an error, and the
// positions with it.
func (p *Producer) commitEmpty(ctx context.Context, id Identity, offsets []OffsetCommit) error {
	if err := p.Abort(ctx); err != nil {
		return err
	}
	return p.CommitOffsets(ctx, id, offsets)
}

// end sends the commit. Unless the answer is success, the outcome is open: the request
// may have arrived.
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
	case errors.Is(err, kerr.OperationNotAttempted): // kgo's own error: nothing was sent
		return p.abort(ctx, "committing", err)
	}
	_ = p.die("committing", err)
	return &Error{Unknown, "committing", err}
}

var errUnsettled = errors.New("the client does not know the partitions of a topic that it has written to")

// settle waits until kgo holds the partitions of every topic that has a record of this
// transaction. EndTransaction looks there for the partitions that it must end. kgo stores
// the first partitions of a topic only after it has released the records that waited for
// them, so their answers may arrive earlier. Before the partitions are stored,
// EndTransaction would abort the transaction that it should commit, or would end nothing
// and return nil.
func (p *Producer) settle(ctx context.Context) error {
	unsettled := func(err error) bool { return errors.Is(err, errUnsettled) }
	return retry(ctx, unsettled, func(context.Context) error {
		if p.acks.settle(p.holds) {
			return nil
		}
		return errUnsettled
	})
}

// kgoHolds reports whether the client holds a partition, even if with an error.
func (p *Producer) kgoHolds(topic string, partition int32) bool {
	leader, _, err := p.cl.PartitionLeader(topic, partition)
	return leader >= 0 || err != nil
}

// Flush waits until the broker has every record. With at-least-once, call it before the
// changes are applied to the local stores; CommitOffsets comes after. After an error, the
// tasks go back to their last committed state, although some of the records may be
// visible. A transactional producer flushes as part of Commit.
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
		// Records that are still in flight would be counted in the next flush.
		return p.die("flushing", err)
	}
	return &Error{Aborted, "flushing", err}
}

// flush waits for all answers and returns the first failure. Within a transaction it
// waits no longer than the broker keeps the transaction open.
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

// Abort drops the open transaction. With at-least-once, it drops the records that are not
// yet in flight. An error is always Fatal: the producer must be replaced. In both cases
// nothing of the transaction becomes visible. After the end of ctx, Abort continues for
// half a second.
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
	if err == nil && !p.inTxn { // at least once: records that were written stay
		return nil
	}
	if err == nil {
		err = p.settle(ctx)
	}
	if err == nil {
		err = p.cl.EndTransaction(ctx, kgo.TryAbort)
		if err != nil {
			// The second attempt renews the producer ID. This aborts whatever the first
			// attempt left open. The attempt does not report an ID that cannot be
			// renewed.
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

// abort ends a commit that failed with cause before EndTransaction, and returns its
// *Error.
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

// worse keeps Fenced, which tells the caller more than Fatal does. Dead tells it the
// rest.
func worse(o Outcome) Outcome {
	if o == Fenced {
		return Fenced
	}
	return Fatal
}

// Dead reports whether the producer must be replaced.
func (p *Producer) Dead() bool { return p.dead != nil }

func (p *Producer) reset() {
	p.inTxn = false
	p.held = p.held[:0]
	p.produced = 0
	p.started = time.Time{}
}

// lastWords is how long a step that decides a transaction continues after the caller's
// context has ended.
const lastWords = 500 * time.Millisecond

// uninterrupted gives the steps that decide a transaction their own timeout. The end of
// ctx does not interrupt them. After it, however, a broker that cannot be reached delays
// the caller only for lastWords.
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
