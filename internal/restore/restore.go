package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/transient"
)

// Config is the configuration of a Restorer.
type Config struct {
	// Opts are the user's client options (addresses, TLS, SASL, hooks). The options of
	// this package come after them and take precedence.
	Opts []kgo.Opt

	// BatchRecords is the largest number of records that are handed over at a time. 0
	// means 20,000.
	BatchRecords int

	// FetchBytes limits the size of a fetch. The client has one more, which it fetched
	// ahead. 0 means 50 MiB.
	FetchBytes int64

	// MissingTimeout is how long a topic may be unknown before it counts as missing. 0
	// means 5 s.
	MissingTimeout time.Duration

	Logger *slog.Logger // nil is silent
}

// Restorer reads changelogs. Several goroutines may call its methods at once.
type Restorer struct {
	cfg   Config
	log   *slog.Logger
	cl    *kgo.Client
	admin *kadm.Client
}

// Sink gets the records of partition parts[p], in order, without transaction markers.
// next is the position after them: the From of a later restore. records may be empty, if
// only the position moved. The slice is used again after the call; the records and their
// bytes are not. An error ends this partition.
type Sink func(p int, records []*kgo.Record, next int64) error

// Done is called once for each partition, when Restore has finished with it.
//
//   - If the partition was read to its end, next is its position there, and err is nil.
//   - If it cannot be read, next is the last position that the sink got, and err is the
//     reason: an OutOfRangeError, RecreatedError, MissingError or the sink's error.
type Done func(p int, next int64, err error)

// Progress is the progress of one partition.
type Progress struct {
	Partition Partition
	Position  int64
	End       int64
	Records   int64 // handed to the sink so far
	Bytes     int64 // of their keys and values
	Elapsed   time.Duration
}

// New makes a Restorer. It does not connect; the first use does.
func New(cfg Config) (*Restorer, error) {
	if cfg.BatchRecords == 0 {
		cfg.BatchRecords = 20_000
	}
	if cfg.FetchBytes == 0 {
		cfg.FetchBytes = 50 << 20
	}
	if cfg.MissingTimeout == 0 {
		cfg.MissingTimeout = 5 * time.Second
	}
	r := &Restorer{cfg: cfg, log: cfg.Logger}
	if r.log == nil {
		r.log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	cl, err := kgo.NewClient(cfg.Opts...)
	if err != nil {
		return nil, fmt.Errorf("restoring changelogs: %w", err)
	}
	r.cl, r.admin = cl, kadm.NewClient(cl)
	return r, nil
}

// Close ends the connections. Restore must not be running.
func (r *Restorer) Close() { r.cl.Close() }

// Restore reads every partition from its From up to its current high watermark, or to its
// To. It blocks until all partitions are done or ctx ends. The callbacks run in the
// caller's goroutine, one at a time. done and progress may be nil.
//
// A partition with nothing to read is done immediately, without a fetch. If a partition
// fails, the others continue: Restore returns all errors at the end.
func (r *Restorer) Restore(ctx context.Context, parts []Partition, sink Sink, done Done, progress func(Progress)) error {
	run := &run{Restorer: r, ctx: ctx, sink: sink, done: done, progress: progress, started: time.Now()}
	ranges, err := r.Offsets(ctx, parts)
	if err != nil {
		return err
	}
	run.admit(parts, ranges)
	if len(run.reading) > 0 {
		if err := run.read(); err != nil {
			return err
		}
	}
	r.log.Debug("changelogs restored", "partitions", len(parts), "failed", len(run.errs), "records", run.records, "took", time.Since(run.started))
	return errors.Join(run.errs...)
}

type topicPartition struct {
	topic     string
	partition int32
}

// reading is one partition that has not reached its end.
type reading struct {
	Partition
	index    int
	topicID  TopicID
	position int64 // after the last record that the sink has
	end      int64
	records  int64 // handed to the sink
	bytes    int64 // of their keys and values
}

// run is one call of Restore.
type run struct {
	*Restorer
	ctx      context.Context
	sink     Sink
	done     Done
	progress func(Progress)
	started  time.Time

	cl      *kgo.Client
	reading map[topicPartition]*reading
	batch   []*kgo.Record // scratch
	records int64
	errs    []error
}

// admit finishes the partitions that need no reading or cannot be read.
func (r *run) admit(parts []Partition, ranges []Range) {
	r.reading = make(map[topicPartition]*reading)
	for i, p := range parts {
		held := ranges[i]
		if p.From < 0 {
			p.From = held.Start
		}
		err := held.Err
		key := topicPartition{p.Topic, p.Partition}
		done := p.Bounded && p.From >= p.To
		switch {
		case err != nil:
		case p.TopicID != TopicID{} && p.TopicID != held.TopicID:
			err = &RecreatedError{Topic: p.Topic, Partition: p.Partition, Was: p.TopicID, Is: held.TopicID}
		case done:
		case p.From < held.Start || p.From > held.HighWatermark:
			err = &OutOfRangeError{p.Topic, p.Partition, p.From, held.Start, held.HighWatermark}
		case r.reading[key] != nil:
			err = fmt.Errorf("changelog %q partition %d is to be restored twice at once", p.Topic, p.Partition)
		}
		end := held.HighWatermark
		if p.Bounded {
			end = min(end, p.To)
		}
		if err != nil || done || p.From == end {
			r.finished(i, p.From, err)
			continue
		}
		r.reading[key] = &reading{Partition: p, index: i, topicID: held.TopicID, position: p.From, end: end}
	}
}

func (r *run) finished(index int, next int64, err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
	if r.done != nil {
		r.done(index, next, err)
	}
}

// read polls until every partition is at its end.
func (r *run) read() error {
	if err := r.open(); err != nil {
		return err
	}
	defer r.cl.Close()
	const silence = 10 * time.Second
	for len(r.reading) > 0 {
		ctx, cancel := context.WithTimeout(r.ctx, silence)
		fetches := r.cl.PollRecords(ctx, r.cfg.BatchRecords)
		silent := ctx.Err() != nil
		cancel()
		if r.ctx.Err() != nil {
			return fmt.Errorf("restoring changelogs: %w", r.ctx.Err())
		}
		if fetches.IsClientClosed() {
			return fmt.Errorf("restoring changelogs: %w", kgo.ErrClientClosed)
		}
		fetches.EachPartition(r.fetched)
		if silent && fetches.NumRecords() == 0 {
			r.explain()
		}
	}
	return nil
}

// open makes a client for this run. A new client gets its first record within
// milliseconds. If a partition were added to an existing client, it would wait for the
// fetch in flight.
func (r *run) open() error {
	partitions := make(map[string]map[int32]kgo.Offset)
	for key, p := range r.reading {
		if partitions[key.topic] == nil {
			partitions[key.topic] = make(map[int32]kgo.Offset)
		}
		partitions[key.topic][key.partition] = kgo.NewOffset().At(p.position)
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, r.cfg.Opts...),
		kgo.ConsumePartitions(partitions),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchMaxBytes(r.cfg.fetchBytes()),
		kgo.FetchMaxPartitionBytes(r.cfg.partitionBytes()),
	)...)
	if err != nil {
		return fmt.Errorf("restoring changelogs: %w", err)
	}
	r.cl = cl
	return nil
}

// fetchBytes returns the largest size of a fetch.
func (c *Config) fetchBytes() int32 { return int32(min(max(c.FetchBytes, 1<<20), 50<<20)) }

// partitionBytes returns how much of one partition a fetch brings.
func (c *Config) partitionBytes() int32 { return int32(min(max(c.FetchBytes/8, 256<<10), 4<<20)) }

func (r *run) fetched(f kgo.FetchTopicPartition) {
	p := r.reading[topicPartition{f.Topic, f.Partition}]
	if p == nil {
		return // already done, or not about a partition
	}
	if f.Err != nil {
		if err := r.judge(p, f.Err); err != nil {
			r.finish(p, err)
			return
		}
	}
	next, bytes := p.position, int64(0)
	batch := r.batch[:0]
	for _, record := range f.Records {
		if record.Offset >= p.end {
			next = p.end
			break
		}
		next = record.Offset + 1
		if !record.Attrs.IsControl() {
			batch = append(batch, record)
			bytes += int64(len(record.Key) + len(record.Value))
		}
	}
	r.hand(p, batch, bytes, next)
	clear(batch)
	r.batch = batch
	if p.position >= p.end {
		r.finish(p, nil)
	}
}

// judge returns the error that ends the partition, or nil if reading continues.
func (r *run) judge(p *reading, err error) error {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &lost):
		ranges, err := r.Offsets(r.ctx, []Partition{p.Partition})
		if err != nil {
			return err
		}
		if ranges[0].Err != nil {
			return ranges[0].Err
		}
		return &OutOfRangeError{p.Topic, p.Partition.Partition, p.position, ranges[0].Start, ranges[0].HighWatermark}
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InconsistentTopicID):
		ids, err := r.TopicIDs(r.ctx, p.Topic)
		if err != nil {
			return r.judge(p, err)
		}
		is, exists := ids[p.Topic]
		switch {
		case !exists:
			return &MissingError{p.Topic, p.Partition.Partition}
		case is != p.topicID:
			return &RecreatedError{Topic: p.Topic, Partition: p.Partition.Partition, Was: p.topicID, Is: is}
		}
		return nil
	case transient.Is(err):
		r.log.Warn("reading a changelog failed and is tried again", "topic", p.Topic, "partition", p.Partition.Partition, "error", err)
		return nil
	}
	return fmt.Errorf("changelog %q partition %d: at offset %d: %w", p.Topic, p.Partition.Partition, p.position, err)
}

// hand passes records of p to the sink, with the position after them.
func (r *run) hand(p *reading, records []*kgo.Record, bytes, next int64) {
	if next == p.position {
		return
	}
	if err := r.sink(p.index, records, next); err != nil {
		r.finish(p, fmt.Errorf("changelog %q partition %d: %w", p.Topic, p.Partition.Partition, err))
		return
	}
	p.position = next
	p.records += int64(len(records))
	p.bytes += bytes
	r.records += int64(len(records))
	if r.progress != nil {
		r.progress(Progress{p.Partition, p.position, p.end, p.records, p.bytes, time.Since(r.started)})
	}
}

// finish ends the reading of p. Only its first call has an effect.
func (r *run) finish(p *reading, err error) {
	key := topicPartition{p.Topic, p.Partition.Partition}
	if r.reading[key] == nil {
		return
	}
	delete(r.reading, key)
	r.cl.RemoveConsumePartitions(map[string][]int32{p.Topic: {p.Partition.Partition}})
	r.finished(p.index, p.position, err)
}

// explain logs what a restore without progress waits for.
func (r *run) explain() {
	for _, p := range r.reading {
		r.log.Warn("restoring waits for the changelog: most often for an open transaction to end, at the latest at its timeout",
			"topic", p.Topic, "partition", p.Partition.Partition, "position", p.position, "end", p.end)
	}
}
