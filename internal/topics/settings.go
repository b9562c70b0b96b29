package topics

import (
	"math"
	"strconv"
)

// scope says for which kinds of topics a setting matters.
type scope uint8

const (
	onAll        scope = iota
	onDeleting         // kinds whose cleanup policy has delete
	onCompacting       // kinds whose cleanup policy has compact
)

func (s scope) has(k Kind) bool {
	switch s {
	case onDeleting:
		return k.deletes()
	case onCompacting:
		return k.compacts()
	}
	return true
}

// setting is a topic configuration on which correctness depends. A new topic gets it
// whatever the broker's default is.
type setting struct {
	name  string
	scope scope
	value string // of a new topic

	// fits reports whether an existing topic may keep the value that was found.
	fits func(found string, all map[string]string) bool
	// refused: an existing topic that does not fit is refused. Otherwise a warning is
	// logged.
	refused bool
	// older is the setting for brokers that do not know this one.
	older string
	// legacy: new topics do not get the setting, unless it is the older one of another
	// setting.
	legacy bool

	reason string // completes "is X, expected Y: "
}

const (
	cleanupPolicy = "cleanup.policy"
	retentionMs   = "retention.ms"
	forever       = "-1"
)

// compactionLagMs is how long brokers keep all records of a key, measured against the
// records' own timestamps. Only changelogs of versioned stores have it; its value depends
// on the store.
const (
	compactionLagMs     = "min.compaction.lag.ms"
	compactionLagReason = "brokers would compact versions away that a store needs after its disk was lost"
)

// maxLong is the largest value of a setting in ms: no bound.
var maxLong = strconv.FormatInt(math.MaxInt64, 10)

// settings has one line per setting, except cleanup.policy, whose value depends on the
// kind. docs/internal-topics.md shows it, and lists the settings that are left to the
// broker.
var settings = []setting{
	{name: retentionMs, scope: onDeleting, value: forever, fits: equals(forever),
		reason: "brokers measure it against the records' own timestamps, and would delete old records that the application still needs"},
	{name: "retention.bytes", scope: onDeleting, value: forever, fits: equals(forever),
		reason: "brokers would delete records by size that the application still needs"},
	{name: "delete.retention.ms", scope: onCompacting, value: "86400000", fits: atLeast(86_400_000),
		reason: "a reader that is behind by more may miss a deletion, so a store has to be restored whole, and must be restored within that time"},
	{name: "message.timestamp.type", value: "CreateTime", fits: equals("CreateTime"), refused: true,
		reason: "brokers would replace event times by the time of writing, so windows, stream time and the timestamps of rows would be wrong"},
	{name: "message.timestamp.before.max.ms", value: maxLong, fits: atLeast(math.MaxInt64), older: differenceMaxMs,
		reason: "brokers refuse records with older timestamps, and the application would fail"},
	{name: "message.timestamp.after.max.ms", value: maxLong, fits: atLeast(math.MaxInt64), older: differenceMaxMs,
		reason: "brokers refuse records with later timestamps, and the application would fail"},
	{name: differenceMaxMs, value: maxLong, fits: atLeast(math.MaxInt64), legacy: true,
		reason: "brokers refuse records with older or later timestamps, and the application would fail"},
	{name: "compression.type", value: "producer", fits: equals("producer"),
		reason: "brokers would compress each batch again, which may make it larger than max.message.bytes allows"},
	{name: "segment.bytes", value: strconv.Itoa(50 << 20), fits: holdsBatch,
		reason: "brokers refuse batches that are larger than a segment, though max.message.bytes allows them"},
	{name: "unclean.leader.election.enable", value: "false", fits: equals("false"),
		reason: "committed records could be lost with a broker"},
}

// differenceMaxMs is the setting of brokers before 3.6, which do not have the bounds
// before and after. Brokers from 3.6 to 3.9 apply it if these are not set. 4.0 has
// removed it.
const differenceMaxMs = "message.timestamp.difference.max.ms"

func equals(want string) func(string, map[string]string) bool {
	return func(found string, _ map[string]string) bool { return found == want }
}

// atLeast accepts numbers from least on, and values that are not numbers.
func atLeast(least int64) func(string, map[string]string) bool {
	return func(found string, _ map[string]string) bool {
		n, err := strconv.ParseInt(found, 10, 64)
		return err != nil || n >= least
	}
}

// holdsBatch accepts a segment size that can hold the largest batch of the topic.
func holdsBatch(found string, all map[string]string) bool {
	segment, err := strconv.ParseInt(found, 10, 64)
	batch, err2 := strconv.ParseInt(all["max.message.bytes"], 10, 64)
	return err != nil || err2 != nil || segment >= batch
}
