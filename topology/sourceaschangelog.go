package topology

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// SourceAsChangelogOption is made by [SourceAsChangelog].
type SourceAsChangelogOption struct{}

// SourceAsChangelog makes the topic of a table its changelog. The table has no changelog
// of its own, which would be a second copy of the topic. If the disk is lost, or the task
// moves, the rows are read from the topic, up to the offset that the application has
// committed.
//
// The rows are made from the records as they were when the records were processed:
//
//   - The records go through the serdes. A record that cannot be decoded goes to the
//     error policy. If the policy skips it or makes a dead letter of it, it is left out,
//     and nothing is counted or sent again. If the policy fails, Run returns the error.
//   - Records without a key are left out.
//
// It is for topics of which the newest record of each key is kept:
//
//   - The topic must be compacted, and nothing else (cleanup.policy=compact). Run checks
//     that at the start, and refuses another topic. It never alters, trims or deletes the
//     topic.
//   - The key serde must be canonical ([serde.String], [serde.Bytes], an integer, or a
//     [serde.Canonical]). Otherwise a deletion might have another encoding of the key
//     than the row that it deletes, and compaction would keep the row.
//   - It cannot be combined with TimestampFrom, PartitionTimeForInvalid, StartAtLatest,
//     OutOfRangeEarliest, OutOfRangeLatest, TTL, Versioned, WithoutChangelog or
//     WithoutStore. The rows would then depend on more than the topic.
//
// Compaction may have replaced a record below the committed offset by one that has not
// been processed yet. If the disk is lost then, the row is missing, or old, until the
// newer record is processed. (Run logs a warning with the offsets.) Therefore the table
// can be joined with streams, queried and made a stream, but not grouped, filtered,
// suppressed, stored once more or joined with tables: these operators need the exact old
// row of each update, and Build refuses them. All deletions are forwarded, also of rows
// that the table does not have.
//
// The application records the choice with the store. A program that changes it is refused
// at the start. A table with this option may be added to a running application: it begins
// with the rows of the records that were processed before.
func SourceAsChangelog() SourceAsChangelogOption { return SourceAsChangelogOption{} }

func (SourceAsChangelogOption) applySourceTable(c *sourceTableOptions) { c.fromTopic = true }

// checkFromTopic reports the options of a table with SourceAsChangelog that do not go
// with it.
func (b *Builder) checkFromTopic(n *node, keys any, o sourceTableOptions) {
	for _, with := range []struct {
		is          bool
		name, cause string
	}{
		{o.source.timestamps == operator.Extracted, "TimestampFrom", "a restored row would have the record's own timestamp"},
		{o.source.timestamps == operator.PartitionTimeForInvalid, "PartitionTimeForInvalid", "the timestamp of a row would depend on records that compaction has removed"},
		{o.source.StartAt != graph.Earliest, "StartAtLatest", "records that were not read would become rows when the table is restored"},
		{o.source.OutOfRange != graph.OutOfRangeFails, "OutOfRangeEarliest and OutOfRangeLatest", "records that were passed over would become rows when the table is restored"},
		{o.table.mortal, "TTL", "the topic does not have the deletions of expired rows"},
		{o.table.migrations != nil, "Migrate and Migrated", "the topic has no numbers of formats"},
		{o.table.versioned, "Versioned", "compaction removes earlier versions"},
		{o.table.withoutChangelog, "WithoutChangelog", "one says that there is a changelog, the other that there is none"},
		{o.table.withoutStore, "WithoutStore", "there are no rows to restore"},
	} {
		if with.is {
			b.problem("%v: SourceAsChangelog cannot be combined with %s: %s: remove one of them", n, with.name, with.cause)
		}
	}
	if !isNil(keys) && !canonical(keys) {
		b.problem("%v: SourceAsChangelog needs a key serde with one encoding for each key, and %s may have several: use another serde, implement serde.Canonical, or remove the option",
			n, serde.Name(keys))
	}
}

// checkReaders reports operators that need the old rows of a table with
// SourceAsChangelog, and processors that use its store.
func (b *Builder) checkReaders() (problems []error) {
	for _, n := range b.nodes {
		if n.fromTopic == nil {
			continue
		}
		for _, child := range b.needsOld(n) {
			problems = append(problems, fmt.Errorf("topology: %v: needs the old rows of table %q, and with SourceAsChangelog a restored table may lack some of them: remove the option", child, n.fromTopic.Topic))
		}
		for _, other := range b.nodes {
			for _, use := range other.stores {
				if other != n && !use.lookUp && !isNil(use.spec) && use.spec.StoreName() == n.fromTopic.Topic {
					problems = append(problems, fmt.Errorf("topology: %v: might write the store of table %q, and with SourceAsChangelog only the records of the topic may do that: remove the option", other, n.fromTopic.Topic))
				}
			}
		}
	}
	return problems
}

// needsOld returns the operators on a table, or on tables that are derived from it
// without a store, that need old rows.
func (b *Builder) needsOld(table *node) (needing []*node) {
	for _, child := range b.childrenOf(table) {
		switch {
		case child.op == "stream":
		case child.op == "mapValues" && child.table:
			needing = append(needing, b.needsOld(child)...)
		case (child.op == "filter" || child.op == "filterNot") && len(b.childrenOf(child)) == 0:
			// Joins look its rows up, and need no updates.
		default:
			needing = append(needing, child)
		}
	}
	return needing
}

func (b *Builder) childrenOf(parent *node) (children []*node) {
	for _, n := range b.nodes {
		for _, p := range n.parents {
			if p == parent {
				children = append(children, n)
			}
		}
	}
	return children
}
