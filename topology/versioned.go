package topology

import "time"

// VersionedOption is an option of an operator that makes a table. [Versioned] makes one.
type VersionedOption struct{ history time.Duration }

// Versioned keeps earlier versions of the rows of a table. [Join] and [LeftJoin] then
// find the version that was valid at the timestamp of the stream's record, and
// millrace.GetAsOf finds the version that was valid at any time of the history.
//
// history is how long versions are kept, in stream time. It must be positive and a whole
// number of milliseconds. Package versionedstore describes versions and history.
//
// An update is valid from its timestamp on:
//
//   - An update that is older than the row does not replace it. It becomes an earlier
//     version.
//   - A deletion that is older than the row ends earlier versions, and leaves the row.
//   - An update that is older than the history is dropped, and counted as dropped.
//
// By default the table forwards its newest rows at the commit, if they have changed. With
// [EveryUpdate] it forwards every update at once, with the update's timestamp. This
// includes updates that are older than the row:
//
//   - In a stream ([Table.Stream]), such an update is a record like any other.
//   - Filter, MapTable and Stored with Versioned pass it on.
//   - Joins of tables and foreign-key joins count it as dropped, as in Kafka Streams.
//   - [GroupTable], [Table.Suppress] and [Table.Stored] without Versioned skip it.
//
// If a later version of the program has a longer history, it grows from then on: versions
// that had left the history may be missing.
//
// A timestamp in the far future moves the time of the table, and so ends the history of
// all its rows: rows stay, but their earlier versions are gone, and updates with earlier
// timestamps are too old from then on. [TimestampFrom] can drop such records.
func Versioned(history time.Duration) VersionedOption { return VersionedOption{history} }

func (o VersionedOption) applyTable(c *tableOptions) { c.history, c.versioned = o.history, true }

func (o VersionedOption) applyToTable(c *tableOptions)           { o.applyTable(c) }
func (o VersionedOption) applySourceTable(c *sourceTableOptions) { o.applyTable(&c.table) }

// JoinOption is an option of [Join] and [LeftJoin]: [Named] or [Grace].
type JoinOption interface{ applyJoin(*tableJoinOptions) }

type tableJoinOptions struct {
	nodeOptions
	grace    time.Duration
	hasGrace bool
}

func (o NameOption) applyJoin(c *tableJoinOptions) { c.name = o.name }

// GraceOption is an option of [Join] and [LeftJoin]. [Grace] makes one.
type GraceOption struct{ grace time.Duration }

// Grace makes a join of a stream with a table wait for late updates of the table. The
// table must be [Versioned], with a history of at least the grace.
//
// The time of the join is the largest timestamp of the stream's records that have a key
// and a value. A record waits until the time of the join has reached its own timestamp
// plus the grace. Then it is joined with the version of its row that was valid at its
// timestamp.
//
//   - Records that wait are joined in order of their timestamps, then of their keys.
//   - A record that comes later than the grace is joined at once. A record without a key
//     is joined at once by LeftJoin, and dropped by Join.
//   - While the stream has no new records, no record is joined.
//   - If the function of the join fails for a record that has waited, the error policy is
//     given the record that has moved the time of the join, and an error that names the
//     one that has waited. If the policy skips it, the latter has no result.
//
// The records wait in the store <name>-buffer, whose changelog is
// <app>-<name>-buffer-changelog. The option [Named] gives the name, and is required.
func Grace(d time.Duration) GraceOption { return GraceOption{d} }

func (o GraceOption) applyJoin(c *tableJoinOptions) { c.grace, c.hasGrace = o.grace, true }

// bufferPart follows the name of a join in the name of the store in which records wait.
const bufferPart = "-buffer"

// checkGrace reports a join that cannot wait for late updates of its table. history is
// the table's.
func (b *Builder) checkGrace(n *node, name string, grace, history time.Duration) (ok bool) {
	before := len(b.problems)
	switch {
	case grace < 0:
		b.problem("%v: the grace %v must not be negative", n, grace)
	case grace%time.Millisecond != 0:
		b.problem("%v: the grace %v must be a whole number of milliseconds", n, grace)
	}
	switch {
	case history <= 0:
		b.problem("%v: Grace needs a table that keeps versions of its rows: make the table with topology.Versioned", n)
	case history < grace:
		b.problem("%v: the table keeps versions for %v, which is less than the grace %v: use a longer history in topology.Versioned", n, history, grace)
	}
	if name == "" {
		b.problem("%v: Grace keeps records in a store: give the join a name with topology.Named", n)
	}
	return len(b.problems) == before
}
