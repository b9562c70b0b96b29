package topics

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Purge deletes the records of repartition topics below the given offsets, which the application has committed. It is
// best effort: a partition that fails is purged with the next commit.
func Purge(ctx context.Context, cl *kgo.Client, below map[string]map[int32]int64) error {
	var offsets kadm.Offsets
	for topic, partitions := range below {
		for partition, offset := range partitions {
			if offset > 0 {
				offsets.AddOffset(topic, partition, offset, -1)
			}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	responses, err := kadm.NewClient(cl).DeleteRecords(ctx, offsets)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return fmt.Errorf("purging repartition topics: %w", err)
	}
	return nil
}

// Purger purges repartition topics beside the commits that allow it, with one request at a time: what is submitted
// while one is under way is merged into the next. Its methods may be called by any goroutine.
type Purger struct {
	cl    *kgo.Client
	log   *slog.Logger
	every time.Duration

	mu      sync.Mutex
	pending map[string]map[int32]int64
	purged  map[string]map[int32]int64
	work    chan struct{}
}

// NewPurger makes a Purger that sends at most one request per interval. logger may be nil.
func NewPurger(cl *kgo.Client, every time.Duration, logger *slog.Logger) *Purger {
	if logger == nil {
		logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	return &Purger{cl: cl, log: logger, every: every, purged: make(map[string]map[int32]int64), work: make(chan struct{}, 1)}
}

// Submit notes that everything of a partition below offset has been processed and committed. It does not block.
func (p *Purger) Submit(topic string, partition int32, offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.purged[topic][partition] >= offset {
		return
	}
	if p.pending == nil {
		p.pending = make(map[string]map[int32]int64)
	}
	set(p.pending, topic, partition, offset)
	select {
	case p.work <- struct{}{}:
	default:
	}
}

// Run purges until ctx ends. The caller owns its goroutine.
func (p *Purger) Run(ctx context.Context) {
	for {
		select {
		case <-p.work:
		case <-ctx.Done():
			return
		}
		below := p.take()
		if err := Purge(ctx, p.cl, below); err != nil {
			p.log.Warn("repartition topics were not purged; the next commit tries again", "error", err)
		} else {
			p.done(below)
		}
		if wait(ctx, p.every) != nil {
			return
		}
	}
}

func (p *Purger) take() map[string]map[int32]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	below := p.pending
	p.pending = nil
	return below
}

func (p *Purger) done(below map[string]map[int32]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range below {
		for partition, offset := range partitions {
			set(p.purged, topic, partition, offset)
		}
	}
}

func set(offsets map[string]map[int32]int64, topic string, partition int32, offset int64) {
	partitions := offsets[topic]
	if partitions == nil {
		partitions = make(map[int32]int64)
		offsets[topic] = partitions
	}
	partitions[partition] = max(partitions[partition], offset)
}
