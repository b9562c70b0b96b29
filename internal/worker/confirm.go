package worker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// longestAnswer is how long an answer about the ends of partitions may take. A later one
// would say too little about the time in between.
const longestAnswer = 2 * time.Second

// quietFeeds are the feeds whose tasks need to know that their partitions are at their
// ends.
type quietFeeds struct {
	feeds map[*Feed]struct{} // guarded by Fetcher.mu
	wake  chan struct{}
}

// setQuiet says whether the task of a feed needs confirmations.
func (f *Fetcher) setQuiet(feed *Feed, quiet bool) {
	if feed.quiet.Swap(quiet) == quiet {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !quiet {
		delete(f.quiet.feeds, feed)
		return
	}
	f.quiet.feeds[feed] = struct{}{}
	select {
	case f.quiet.wake <- struct{}{}:
	default:
	}
}

// Confirm asks Kafka where the quiet partitions end, every so often until ctx ends, and
// tells their tasks. It asks nothing while there is no quiet partition.
//
// Fetches cannot say it: a client does not return the answer to a fetch without records.
func (f *Fetcher) Confirm(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		f.mu.Lock()
		feeds := slices.Collect(maps.Keys(f.quiet.feeds))
		f.mu.Unlock()
		if len(feeds) == 0 {
			select {
			case <-f.quiet.wake:
			case <-ctx.Done():
			}
			continue
		}
		next := time.NewTimer(every)
		f.confirm(ctx, feeds)
		select {
		case <-next.C:
		case <-ctx.Done():
		}
		next.Stop()
	}
}

// confirm asks once.
func (f *Fetcher) confirm(ctx context.Context, feeds []*Feed) {
	positions := make([]int64, len(feeds))
	for i, feed := range feeds {
		positions[i] = feed.position.Load()
	}
	at := time.Now()
	ends := f.ends(ctx, feeds)
	if ctx.Err() != nil {
		return
	}
	for i, feed := range feeds {
		b := batch{feed: feed, next: -1, about: unconfirmed}
		if end, ok := ends[feed.Topic][feed.Partition]; ok {
			b.about, b.position, b.end, b.at = confirmed, positions[i], end, at
		}
		feed.inbox.put(b)
	}
}

// ends returns the high watermarks of the partitions for which there was an answer in
// time.
func (f *Fetcher) ends(ctx context.Context, feeds []*Feed) map[string]map[int32]int64 {
	ctx, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	ends := map[string]map[int32]int64{}
	for _, shard := range f.cl.RequestSharded(ctx, endsRequest(feeds)) {
		answer, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if shard.Err != nil || !ok {
			continue
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					continue
				}
				if ends[t.Topic] == nil {
					ends[t.Topic] = map[int32]int64{}
				}
				ends[t.Topic][p.Partition] = p.Offset
			}
		}
	}
	return ends
}

func endsRequest(feeds []*Feed) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	topics := map[string][]kmsg.ListOffsetsRequestTopicPartition{}
	for _, feed := range feeds {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = feed.Partition, -1 // the latest offset
		topics[feed.Topic] = append(topics[feed.Topic], p)
	}
	for topic, partitions := range topics {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
	}
	return req
}
