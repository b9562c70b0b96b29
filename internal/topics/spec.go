package topics

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind of an internal topic.
type Kind uint8

const (
	// ChangelogCompact keeps the last value of each key: the changelog of a key-value store.
	ChangelogCompact Kind = iota
	// ChangelogWindowed keeps the last value of each key until the store's retention is over: the changelog of a window or
	// session store.
	ChangelogWindowed
	// Repartition keeps records until the application has processed them and purges them itself.
	Repartition
)

func (k Kind) String() string {
	switch k {
	case ChangelogCompact:
		return "changelog of a key-value store"
	case ChangelogWindowed:
		return "changelog of a window store"
	case Repartition:
		return "repartition topic"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// retentionMargin is what a windowed changelog keeps beyond its store's retention, as Kafka Streams does
// (windowstore.changelog.additional.retention.ms): brokers go by wall clock and record time, stores by stream time.
const retentionMargin = 24 * time.Hour

// Spec is an internal topic as the application needs it.
type Spec struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // -1 is the broker's default
	Kind              Kind
	Retention         time.Duration     // of the store; ChangelogWindowed only
	Configs           map[string]string // topic configurations of the user's; they replace the ones below
}

// configs is what the topic is created with.
func (s Spec) configs() map[string]string {
	c := make(map[string]string)
	switch s.Kind {
	case ChangelogCompact:
		c["cleanup.policy"] = "compact"
	case ChangelogWindowed:
		c["cleanup.policy"] = "compact,delete"
		// The retention of windows without end is the longest Duration.
		c["retention.ms"] = strconv.FormatInt(s.Retention.Milliseconds()+retentionMargin.Milliseconds(), 10)
	case Repartition:
		c["cleanup.policy"] = "delete"
		c["retention.ms"] = "-1"
		// Purging works by whole segments, so small ones keep the topic small.
		c["segment.bytes"] = strconv.Itoa(50 << 20)
	}
	// Stream time is made of the records' own timestamps.
	c["message.timestamp.type"] = "CreateTime"
	for k, v := range s.Configs {
		c[k] = v
	}
	return c
}

// judge returns what is wrong with the configuration of an existing topic, nil if nothing is. Configurations that could
// not be read are not judged.
func (s Spec) judge(found map[string]string) []string {
	var wrong []string
	policy, known := found["cleanup.policy"]
	_, chosen := s.Configs["cleanup.policy"]
	known = known && !chosen // the user has said that it is to be so
	compacts, deletes := hasPolicy(policy, "compact"), hasPolicy(policy, "delete")
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	switch s.Kind {
	case ChangelogCompact:
		if known && (!compacts || deletes) {
			add("cleanup.policy is %q, expected \"compact\": state that is not written again would be deleted", policy)
		}
	case ChangelogWindowed:
		if known && !compacts && !deletes {
			add("cleanup.policy is %q, expected \"compact,delete\"", policy)
		}
		if deletes && tooShort(found["retention.ms"], s.Retention) {
			add("retention.ms is %s, expected at least the store's retention of %d: windows that the store still has would be deleted",
				found["retention.ms"], s.Retention.Milliseconds())
		}
	case Repartition:
		if known && (compacts || !deletes) {
			add("cleanup.policy is %q, expected \"delete\": compaction would remove records that were not processed", policy)
		}
		if r, known := found["retention.ms"]; known && r != "-1" && s.Configs["retention.ms"] == "" {
			add("retention.ms is %s, expected -1: records could be deleted before they are processed", r)
		}
	}
	return wrong
}

func hasPolicy(policies, want string) bool {
	for p := range strings.SplitSeq(policies, ",") {
		if strings.TrimSpace(p) == want {
			return true
		}
	}
	return false
}

func tooShort(retentionMillis string, needed time.Duration) bool {
	n, err := strconv.ParseInt(retentionMillis, 10, 64)
	return err == nil && n >= 0 && n < needed.Milliseconds()
}
