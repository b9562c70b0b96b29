package global

import (
	"fmt"
	"slices"
	"time"
)

// Range is a partition of a topic as it is now: it begins at Start and ends before End.
type Range struct {
	Partition  int32
	Start, End int64
}

// Topic is a topic as it is now.
type Topic struct {
	ID     [16]byte
	Ranges []Range // of all partitions
	// DeleteRetention is how long a deletion stays in the topic, at least.
	DeleteRetention time.Duration
}

// Verdict says how a store begins.
type Verdict struct {
	At []Position // where to read on, one for each partition

	// Wipe is the reason why the rows on the disk cannot be used. The positions are then
	// the starts of the partitions. It is empty if the rows can be used, or if there are
	// none.
	Wipe string
}

// Judge compares the positions on a disk with the topic. confirmed is the time at which
// the store is known to have had all of the topic; zero is unknown.
//
// A position may lie before the topic's end; the offsets in between are then read. The
// rows of a disk are used only if the topic still shows every change since. A compacted
// topic keeps a deletion for at least DeleteRetention, so the disk must not be older than
// that. The age of a store that is being filled counts from the start of the filling:
// Kafka guarantees all deletions only to a reader that reaches the end within
// DeleteRetention.
func Judge(disk []Position, confirmed time.Time, topic Topic, now time.Time) Verdict {
	if len(disk) == 0 {
		return Verdict{At: topic.starts()}
	}
	if reason := misfit(disk, confirmed, topic, now); reason != "" {
		return Verdict{At: topic.starts(), Wipe: reason}
	}
	at := topic.starts()
	for i := range at {
		if n := slices.IndexFunc(disk, func(p Position) bool { return p.Partition == at[i].Partition }); n >= 0 {
			at[i].Offset, at[i].Metadata = disk[n].Offset, disk[n].Metadata
		}
	}
	return Verdict{At: at}
}

// starts returns the starts of all partitions.
func (t Topic) starts() []Position {
	at := make([]Position, len(t.Ranges))
	for i, r := range t.Ranges {
		at[i] = Position{Partition: r.Partition, Offset: r.Start, TopicID: t.ID}
	}
	return at
}

// misfit returns why the rows cannot be used, or "".
func misfit(disk []Position, confirmed time.Time, topic Topic, now time.Time) string {
	var behind bool
	for _, p := range disk {
		i := slices.IndexFunc(topic.Ranges, func(r Range) bool { return r.Partition == p.Partition })
		switch none := [16]byte{}; {
		case p.TopicID != topic.ID && p.TopicID != none && topic.ID != none:
			return "the topic was deleted and created again"
		case i < 0:
			return fmt.Sprintf("the topic no longer has partition %d", p.Partition)
		}
		r := topic.Ranges[i]
		switch {
		case p.Offset > r.End:
			return fmt.Sprintf("the store is at offset %d of partition %d, which ends at %d: Kafka has lost records", p.Offset, p.Partition, r.End)
		case p.Offset < r.Start:
			return fmt.Sprintf("the store is at offset %d of partition %d, which begins at %d: deletions in between may be gone", p.Offset, p.Partition, r.Start)
		}
		behind = behind || p.Offset < r.End
	}
	if behind && !confirmed.IsZero() && now.Sub(confirmed) > topic.DeleteRetention {
		return fmt.Sprintf("the store is behind its topic and was last up to date at %s: deletions may be gone from the topic (delete.retention.ms=%d)",
			confirmed.UTC().Format(time.RFC3339), topic.DeleteRetention.Milliseconds())
	}
	return ""
}
