package txn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// DefaultTransactionTimeout limits how long a broker keeps a transaction open after its
// producer is gone.
const DefaultTransactionTimeout = 10 * time.Second

// Config is the configuration of a Producer.
type Config struct {
	// Opts are the user's client options (addresses, TLS, SASL, hooks, compression). The
	// options of this package come after them and take precedence: the transactional ID,
	// the partitioner and the request versions.
	Opts []kgo.Opt

	// TransactionalID makes the producer transactional. Empty means at-least-once:
	// records are idempotent, but visible as soon as they are written.
	TransactionalID string

	// TransactionTimeout is how long the broker keeps an idle transaction open. It also
	// limits each step of a commit. 0 means DefaultTransactionTimeout.
	TransactionTimeout time.Duration

	// Group is the consumer group whose offsets are committed.
	Group string

	// BatchMaxBytes returns the largest batch that a topic accepts (the smaller of
	// max.message.bytes and segment.bytes), or 0 if that is not known. nil means kgo's
	// default for all topics. A topic with a smaller limit then refuses batches, although
	// each of their records is small enough.
	BatchMaxBytes func(topic string) int32

	// Caution is what earlier producers of the same worker have learnt about topics. nil
	// means nothing. The Producer changes it.
	Caution *Caution

	// Refresh is called if the group says that the identity's generation is over. It
	// blocks while a rebalance is in progress, and returns the identity of the same
	// member in the current generation. It returns an error if the partitions may have
	// been lost. nil means that the end of a generation is always a loss.
	Refresh func(ctx context.Context, stale Identity) (Identity, error)

	// Hook is called between the steps of a commit. An error ends the commit there, with
	// the outcome Crashed and without any clean-up. It is for tests; nil in production.
	Hook func(Step) error

	Logger *slog.Logger     // nil is silent
	Now    func() time.Time // nil is time.Now
}

// Step names a point of a commit, for Config.Hook.
type Step string

const (
	BeforeFlush  Step = "before flush"
	AfterFlush   Step = "after flush"
	AfterOffsets Step = "after offsets"
	BeforeEnd    Step = "before end"
	AfterEnd     Step = "after end"
)

// Producer produces the records of one worker and commits them. One goroutine uses it.
type Producer struct {
	cfg Config
	log *slog.Logger
	now func() time.Time

	cl *kgo.Client
	// raw sends the offset requests. If the broker runs transaction.version 2 or later,
	// it is cl itself. Otherwise it is a client that is limited to older request
	// versions.
	raw           *kgo.Client
	addsOffsets   bool // AddOffsetsToTxn must come before TxnOffsetCommit
	versionsKnown bool

	// ctx bounds Produce. It is stored because Produce is called per record, deep inside
	// the tasks, where no other context exists.
	ctx     context.Context
	promise func(*kgo.Record, error)
	holds   func(topic string, partition int32) bool // kgoHolds

	acks      acks
	answers   answers
	caution   *Caution
	wide      map[string]bool // Caution's wide topics when the producer was made
	held      []*kgo.Record   // held back until Settle
	inTxn     bool
	produced  int64
	started   time.Time
	dead      error
	positions map[string]map[int32]int64
	flushed   map[string]map[int32]int64
}

// Offset requests identify topics by name: the next versions know only topic IDs.
const (
	maxOffsetCommit = 9
	// below 5, kgo stops using transaction.version 2 without an error
	maxTxnOffsetCommit = 5
)

// unknownTopicRetries is how often the metadata of a topic is requested before its
// records are refused. The client requests it every kgo.MetadataMinAge (100 ms in the
// runtime).
const unknownTopicRetries = 30

// New makes a Producer. It sends nothing; Init does. ctx bounds Produce as Bind says.
func New(ctx context.Context, cfg Config) (*Producer, error) {
	if cfg.Group == "" {
		return nil, errors.New("a producer needs the consumer group whose offsets it commits")
	}
	if cfg.TransactionTimeout == 0 {
		cfg.TransactionTimeout = DefaultTransactionTimeout
	}
	p := &Producer{cfg: cfg, log: cfg.Logger, now: cfg.Now, caution: cfg.Caution, answers: newAnswers(), ctx: ctx, positions: make(map[string]map[int32]int64)}
	if p.caution == nil {
		p.caution = new(Caution)
	}
	p.wide = maps.Clone(p.caution.wide)
	if p.log == nil {
		p.log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.promise, p.holds = p.acks.finish, p.kgoHolds

	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetCommit), maxOffsetCommit)
	versions.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), maxTxnOffsetCommit)
	refuse := func(_ *kgo.Record, err error) {
		p.cl.ForceMetadataRefresh()
		p.acks.failWith(err)
	}
	// A new topic may be unknown to some broker for a moment. A topic that does not exist
	// must be refused before the flush gives up.
	opts := append([]kgo.Opt{kgo.UnknownTopicRetries(unknownTopicRetries), kgo.MetadataMinAge(250 * time.Millisecond)}, cfg.Opts...)
	opts = append(opts, kgo.MaxVersions(versions), kgo.RecordPartitioner(newPartitioner(refuse)), kgo.WithHooks(&p.answers))
	if cfg.TransactionalID != "" {
		opts = append(opts, kgo.TransactionalID(cfg.TransactionalID), kgo.TransactionTimeout(cfg.TransactionTimeout))
	}
	if cfg.BatchMaxBytes != nil || len(p.wide) > 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytesFn(p.batchLimit))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("producer %q: %w", cfg.TransactionalID, err)
	}
	p.cl, p.raw = cl, cl
	p.answers.room(cl)
	return p, nil
}

// Transactional reports whether the producer has a transactional ID.
func (p *Producer) Transactional() bool { return p.cfg.TransactionalID != "" }

// Init gets a producer ID. When it returns, an older transaction with the same ID has
// been committed or aborted for good, and its producer is fenced. Init also learns the
// broker's transaction version. It retries until ctx ends, but gives up after a few
// failed connections.
func (p *Producer) Init(ctx context.Context) error {
	err := retry(ctx, patiently(isRetriable), func(ctx context.Context) error {
		_, _, err := p.cl.ProducerID(ctx)
		return err
	})
	if err != nil {
		return p.die("initialising the producer", err)
	}
	if !p.Transactional() {
		return nil
	}
	if err := retry(ctx, patiently(isRetriable), p.learnVersions); err != nil {
		return p.die("reading the broker's transaction version", err)
	}
	return nil
}

// Track makes Positions report the given topic, a changelog.
func (p *Producer) Track(topic string) { p.acks.track(topic) }

// Begin begins a transaction if none is open. Produce calls it.
func (p *Producer) Begin() error {
	if p.dead != nil {
		return &Error{Fatal, "beginning a transaction", p.dead}
	}
	if p.inTxn || !p.Transactional() {
		return nil
	}
	// If a producer ID must be renewed, BeginTransaction loads it without a context. This
	// call bounds it. Its error is left to BeginTransaction, which can tell whether a new
	// ID solves the problem.
	_, _, err := p.cl.ProducerID(p.ctx)
	if err != nil && p.ctx.Err() != nil {
		return &Error{Aborted, "beginning a transaction", p.ctx.Err()}
	}
	if err := p.cl.BeginTransaction(); err != nil {
		return p.die("beginning a transaction", err)
	}
	p.inTxn = true
	p.started = p.now()
	return nil
}

// InTransaction reports whether a transaction is open.
func (p *Producer) InTransaction() bool { return p.inTxn }

// Started returns when the open transaction began. With at-least-once, it returns when
// the first record since the last Flush was produced. It is the zero time if nothing was
// produced.
func (p *Producer) Started() time.Time { return p.started }

// Produce sends r to r.Partition, or to the partition of its key if r.Partition is
// negative. The record belongs to the producer until the next Commit, Flush or Abort has
// returned.
//
// If too much is buffered, Produce blocks until there is room or the context given to New
// ends. It has no result: the first failure is kept for Err, Flush and Commit. If the
// topic is written with Caution, the record is held back until Settle.
func (p *Producer) Produce(r *kgo.Record) {
	if err := p.Begin(); err != nil {
		p.acks.failWith(err)
		return
	}
	if p.started.IsZero() {
		p.started = p.now()
	}
	p.produced++
	if p.caution.Any() && p.holdBack(r) {
		return
	}
	p.acks.add()
	p.cl.Produce(p.ctx, r, p.promise)
}

// Produced returns the number of records produced since the last commit, flush or abort.
func (p *Producer) Produced() int64 { return p.produced }

// Err returns the first failure of a record since the last commit, flush or abort, or
// nil. After a failure the transaction will be aborted, so adding records to it is
// useless.
func (p *Producer) Err() error { return p.acks.first() }

// Positions returns, for every tracked partition, the position after the last record
// confirmed since the producer was made. The marker of a transaction comes after it and
// is not counted.
func (p *Producer) Positions() map[string]map[int32]int64 {
	all := make(map[string]map[int32]int64, len(p.positions))
	mergeAll(all, p.positions)
	return all
}

// Flushed returns the positions of the records that the last Flush confirmed, with
// at-least-once. Unlike Positions, it does not include partitions that another process
// may have written to since.
func (p *Producer) Flushed() map[string]map[int32]int64 { return p.flushed }

func mergeAll(into, from map[string]map[int32]int64) {
	for topic, partitions := range from {
		for partition, next := range partitions {
			merge(into, topic, partition, next)
		}
	}
}

// Close ends the client. Commit or abort before. The broker aborts an open transaction
// after its timeout, or when its ID is initialised again.
func (p *Producer) Close() {
	if p.raw != p.cl {
		p.raw.Close()
	}
	p.cl.Close()
	if p.dead == nil {
		p.dead = ErrDead
	}
}

// die marks the producer as dead.
func (p *Producer) die(doing string, err error) error {
	if p.dead == nil {
		p.dead = fmt.Errorf("%w: %w", ErrDead, err)
	}
	p.log.Warn("producer ended", "transactional_id", p.cfg.TransactionalID, "doing", doing, "error", err)
	return &Error{Fatal, doing, err}
}
