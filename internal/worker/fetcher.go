package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
)

// FetcherConfig configures a Fetcher.
type FetcherConfig struct {
	Opts   []kgo.Opt // client options, those of consuming included
	Memory int64     // bound of the bytes buffered
	// Trouble is told that a partition cannot be fetched. The partition is then no longer
	// fetched: the host adds it again, or gives up. Trouble must not block.
	Trouble func(f *Feed, position int64, err error)
	Logger  *slog.Logger
}

// Fetcher reads the input partitions of the process with one client that knows no group.
type Fetcher struct {
	cfg FetcherConfig
	cl  *kgo.Client

	buffered atomic.Int64 // bytes of all feeds
	share    atomic.Int64 // bytes that one feed may take
	stalled  atomic.Bool  // not polling, because the memory is used up

	mu       sync.Mutex
	commands []func(*plan)
	wanted   bool // a command waits for the end of the poll
	cancel   context.CancelFunc
	wake     chan struct{}

	feeds map[string]map[int32]*source // of the goroutine that runs
	quiet quietFeeds
	// outdated is when the fetch under way is given up if it still waits, because it was
	// sent before the client was told of all partitions. Zero if it was not.
	outdated time.Time
	// added says that there are new partitions, of which the client may not know the
	// leaders when the fetch is given up.
	added bool

	inputs recycled[graph.Input]
}

// source is a feed as the fetcher's goroutine sees it.
type source struct {
	feed *Feed
	next int64
}

// plan collects the changes that several commands make in the client, so that many feeds
// cost one call.
type plan struct {
	remove map[string][]int32
	resume map[string][]int32
	add    map[string]map[int32]kgo.Offset
}

func newPlan() *plan {
	return &plan{remove: map[string][]int32{}, resume: map[string][]int32{}, add: map[string]map[int32]kgo.Offset{}}
}

func (f *Fetcher) carryOut(p *plan) {
	f.cl.RemoveConsumePartitions(p.remove)
	f.cl.ResumeFetchPartitions(p.resume)
	f.cl.AddConsumePartitions(p.add)
	if len(p.add) > 0 {
		f.outdate(addedWait)
		f.added = true
	}
}

// A fetch that waits for records while there are partitions that it does not ask for is
// given up after one of these times.
const (
	// addedWait is the time if the partitions are new. A broker that is not far away has
	// told the client the leaders by then.
	addedWait = 25 * time.Millisecond
	// outdatedWait is longer than the pauses of a topic with some flow, so that only a
	// fetch of quiet partitions is given up.
	outdatedWait = 100 * time.Millisecond
)

// outdate notes that the fetch under way does not ask for all partitions. It is given up
// after wait.
func (f *Fetcher) outdate(wait time.Duration) {
	if at := time.Now().Add(wait); f.outdated.IsZero() || at.Before(f.outdated) {
		f.outdated = at
	}
}

// askAgain gives up the fetches under way, so that the next ones ask for all partitions.
// Otherwise the client waits until they end. It has no call for this, but does it when
// partitions are removed: here one that does not exist. If partitions are new, it happens
// once more later, because the client may not have known their leaders yet.
func (f *Fetcher) askAgain() {
	f.outdated = time.Time{}
	if f.added {
		f.added = false
		f.outdate(outdatedWait)
	}
	for topic := range f.feeds {
		f.cl.RemoveConsumePartitions(map[string][]int32{topic: {-1}})
		return
	}
}

const pollRecords = 16384

// recycledShare is the part of the memory for input that unused slices may take, of each
// kind.
const recycledShare = 4

// NewFetcher makes a Fetcher. Nothing is fetched before Run.
func NewFetcher(cfg FetcherConfig) (*Fetcher, error) {
	records := &recordPool{}
	records.most = cfg.Memory / recycledShare
	cl, err := kgo.NewClient(append(slices.Clone(cfg.Opts), kgo.WithPools(records))...)
	if err != nil {
		return nil, fmt.Errorf("fetch client: %w", err)
	}
	f := &Fetcher{cfg: cfg, cl: cl, wake: make(chan struct{}, 1), feeds: map[string]map[int32]*source{},
		quiet: quietFeeds{map[*Feed]struct{}{}, make(chan struct{}, 1)},
	}
	f.inputs.most = cfg.Memory / recycledShare
	f.share.Store(cfg.Memory)
	return f, nil
}

// open starts to fetch a partition from an offset into a worker's inbox. It does not
// block.
func (f *Fetcher) open(topic string, partition int32, from int64, to *inbox) *Feed {
	feed := &Feed{Topic: topic, Partition: partition, From: from, fetcher: f, inbox: to}
	feed.end.Store(-1)
	f.start(feed, from)
	return feed
}

// recycle takes back a slice of records that a task no longer needs.
func (f *Fetcher) recycle(inputs []graph.Input) {
	clear(inputs)
	f.inputs.give(inputs)
}

// Resume fetches a feed from another offset, after trouble. The task is told, so that it
// does not wait for earlier records.
func (f *Fetcher) Resume(feed *Feed, from int64) {
	feed.inbox.put(batch{feed: feed, next: from, end: max(feed.End(), from)})
	f.start(feed, from)
}

// Rewind tells the task of a feed that the log now ends before position, up to which it
// was fetched, and that the host has decided to continue at from. Offsets in between may
// come again with other records, so the task is made again.
func (f *Fetcher) Rewind(feed *Feed, position, from int64) {
	feed.inbox.put(batch{feed: feed, next: from, about: rewound, position: position})
}

func (f *Fetcher) start(feed *Feed, from int64) {
	feed.position.Store(from)
	f.do(func(p *plan) {
		if feed.closed.Load() {
			return
		}
		if f.feeds[feed.Topic] == nil {
			f.feeds[feed.Topic] = map[int32]*source{}
			p.add[feed.Topic] = map[int32]kgo.Offset{}
		}
		f.feeds[feed.Topic][feed.Partition] = &source{feed: feed, next: from}
		if p.add[feed.Topic] == nil {
			p.add[feed.Topic] = map[int32]kgo.Offset{}
		}
		p.add[feed.Topic][feed.Partition] = kgo.NewOffset().At(from)
	})
}

// close ends a feed. It does not block. Nothing of the feed may be used afterwards.
func (feed *Feed) close() {
	if feed.closed.Swap(true) {
		return
	}
	f := feed.fetcher
	f.setQuiet(feed, false)
	f.buffered.Add(-feed.held.Swap(0))
	f.do(func(p *plan) {
		if s := f.feeds[feed.Topic][feed.Partition]; s != nil && s.feed == feed {
			f.forget(feed, p)
		}
	})
}

func (f *Fetcher) forget(feed *Feed, p *plan) {
	delete(f.feeds[feed.Topic], feed.Partition)
	p.remove[feed.Topic] = append(p.remove[feed.Topic], feed.Partition)
	delete(p.add[feed.Topic], feed.Partition)
	if feed.paused.Swap(false) { // kgo remembers the pause after the removal
		p.resume[feed.Topic] = append(p.resume[feed.Topic], feed.Partition)
	}
}

// do makes the fetcher's goroutine run command between two polls. The results of the
// earlier poll belong to the earlier feeds.
func (f *Fetcher) do(command func(*plan)) {
	f.mu.Lock()
	f.commands = append(f.commands, command)
	f.mu.Unlock()
	f.interrupt()
}

// interrupt ends the current poll, or the next one at once.
func (f *Fetcher) interrupt() {
	f.mu.Lock()
	f.wanted = true
	if f.cancel != nil {
		f.cancel()
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run fetches until ctx ends, and then closes the client.
func (f *Fetcher) Run(ctx context.Context) {
	defer f.cl.Close()
	for ctx.Err() == nil {
		f.runCommands()
		f.regulate()
		if f.full() {
			f.stalled.Store(true)
			// A worker that has not seen stalled has made room meanwhile, or will see it.
			if f.full() {
				select {
				case <-f.wake:
				case <-ctx.Done():
				}
			}
			f.stalled.Store(false)
			continue
		}
		f.deliver(f.poll(ctx))
	}
}

func (f *Fetcher) poll(ctx context.Context) kgo.Fetches {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !f.outdated.IsZero() {
		defer time.AfterFunc(time.Until(f.outdated), cancel).Stop()
	}
	f.mu.Lock()
	if f.wanted {
		f.wanted = false
		f.mu.Unlock()
		return nil
	}
	f.cancel = cancel
	f.mu.Unlock()
	fetches := f.cl.PollRecords(ctx, pollRecords)
	f.mu.Lock()
	f.cancel, f.wanted = nil, false
	f.mu.Unlock()
	switch {
	case f.outdated.IsZero():
	case fetches.NumRecords() > 0: // the client sends that broker's next fetch only now
		f.outdated, f.added = time.Time{}, false
	case !time.Now().Before(f.outdated):
		f.askAgain()
	}
	return fetches
}

func (f *Fetcher) runCommands() {
	f.mu.Lock()
	commands := f.commands
	f.commands = nil
	f.mu.Unlock()
	if len(commands) == 0 {
		return
	}
	p := newPlan()
	for _, command := range commands {
		command(p)
	}
	f.carryOut(p)
	n := 0
	for _, partitions := range f.feeds {
		n += len(partitions)
	}
	f.share.Store(f.cfg.Memory / int64(max(n, 1)))
}

func (f *Fetcher) deliver(fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		s := f.feeds[p.Topic][p.Partition]
		if s == nil {
			return
		}
		if p.LastStableOffset >= 0 {
			s.feed.end.Store(p.LastStableOffset)
		}
		if len(p.Records) > 0 {
			s.next = f.hand(s.feed, p)
		}
		if p.Err != nil && !errors.Is(p.Err, context.Canceled) && !errors.Is(p.Err, kgo.ErrClientClosed) {
			f.trouble(s, p.Err)
		}
	})
}

func (f *Fetcher) hand(feed *Feed, p kgo.FetchTopicPartition) (next int64) {
	b := batchOf(feed, p.Records, p.LastStableOffset)
	feed.fetched.Add(b.bytes)
	f.buffered.Add(b.bytes)
	feed.position.Store(b.next)
	feed.inbox.put(b)
	return b.next
}

func (f *Fetcher) trouble(s *source, err error) {
	p := newPlan()
	f.forget(s.feed, p)
	f.carryOut(p)
	f.cfg.Trouble(s.feed, s.next, err)
}

// regulate pauses partitions that take more than their share of the memory, and resumes
// them when they want more. A pause drops the records of the partition that the client
// has prefetched. While all partitions fill evenly, none is paused; full then ends the
// polling.
func (f *Fetcher) regulate() {
	buffered, share := f.buffered.Load(), f.share.Load()
	pause, resume := map[string][]int32{}, map[string][]int32{}
	for topic, partitions := range f.feeds {
		for partition, s := range partitions {
			switch feed := s.feed; {
			case feed.paused.Load():
				if feed.wantsMore() {
					feed.paused.Store(false)
					resume[topic] = append(resume[topic], partition)
				}
			case feed.waited.Load():
			case feed.size() > 2*share && buffered > f.cfg.Memory/2, feed.size() > share && buffered >= f.cfg.Memory:
				feed.paused.Store(true)
				pause[topic] = append(pause[topic], partition)
			}
		}
	}
	if len(pause) > 0 {
		f.cl.PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		f.cl.ResumeFetchPartitions(resume)
		f.outdate(outdatedWait)
	}
}

// wantsMore reports whether a paused partition should be fetched again: its task waits
// for it, half of its share is free, or most of the memory is.
func (feed *Feed) wantsMore() bool {
	f := feed.fetcher
	return feed.waited.Load() || feed.size() <= f.share.Load()/2 || f.buffered.Load() <= f.cfg.Memory/4
}

// full reports whether nothing more may be fetched: the memory is used up, and no task
// waits for a partition.
func (f *Fetcher) full() bool {
	if f.buffered.Load() < f.cfg.Memory {
		return false
	}
	for _, partitions := range f.feeds {
		for _, s := range partitions {
			if s.feed.waited.Load() {
				return false
			}
		}
	}
	return true
}

// drained says that a batch has left the inbox and is dropped.
func (feed *Feed) drained(bytes int64) {
	feed.fetched.Add(-bytes)
	feed.fetcher.buffered.Add(-bytes)
}

// taken says that a batch has moved from the inbox to the task's queues, which now hold
// held bytes of this partition. The sum changes in one step. Between two steps the memory
// would look free, and more would be fetched.
func (feed *Feed) taken(bytes, held int64) {
	feed.fetched.Add(-bytes)
	feed.fetcher.buffered.Add(held - feed.held.Swap(held) - bytes)
	if bytes > 0 {
		feed.waited.Store(false)
	}
}

// settle sets how much the task still holds, and whether it waits for the partition. It
// wakes the fetcher if that matters.
func (feed *Feed) settle(held int64, waited bool) {
	f := feed.fetcher
	f.buffered.Add(held - feed.held.Swap(held))
	was := feed.waited.Swap(waited)
	switch {
	case feed.paused.Load() && feed.wantsMore(),
		f.stalled.Load() && (waited && !was || f.buffered.Load() < f.cfg.Memory):
		f.interrupt()
	}
}

// Buffered is the number of bytes of all feeds.
func (f *Fetcher) Buffered() int64 { return f.buffered.Load() }
