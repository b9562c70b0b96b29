package topology

import "time"

// TTLOption is an option of an operator that makes a table. [TTL] makes one.
type TTLOption struct{ ttl time.Duration }

// TTL gives each row of a table a time to live: the row expires when stream time reaches
// its timestamp plus d. The row is then deleted as by a record without a value: the
// deletion is logged, and forwarded to all operators on the table. An aggregation of the
// table subtracts the row.
//
// Stream time is that of the task: the largest timestamp of all records that the task has
// processed, of all its inputs. While no records come, no row expires.
//
//   - An update of a row gives it another life, from the timestamp of the row on. That of
//     an aggregation is the largest one of its records.
//   - A record whose row has expired finds no row, whenever commits are. An aggregation
//     starts again. A stream that is joined with the table finds no row either.
//   - Rows that no record asks for are deleted at the next commit or, with [EveryUpdate],
//     with the next record of the table, in order of the time at which they have expired.
//     That time is the timestamp of the deletion.
//   - A join of tables, also by a foreign key, sees that a row has expired when the
//     deletion is forwarded. Queries do so after the commit.
//   - A record whose own timestamp plus d is not after stream time changes nothing. It is
//     counted as dropped.
//
// A record with a timestamp in the far future moves stream time, and so lets all other
// rows expire. [TimestampFrom] can drop such records. If stream time jumps, and more than
// 10,000 rows expire at once, several commits delete them, soon after each other.
//
// The option may be added, changed and removed with a new version of the program. The
// first start then reads all rows once. d must be positive and a whole number of
// milliseconds.
//
// TTL is refused where it would give wrong results, or has no effect:
//
//   - in an aggregation of a grouped table ([GroupTable]): an expired aggregate would
//     still have rows. Give the grouped table a TTL;
//   - with [Versioned]: versions expire by the history;
//   - with [WithoutStore], in a foreign-key join and in [Table.Suppress].
//
// Windows expire by their retention, so windowed aggregations do not take the option.
// Global tables do not either: their stream time would differ between processes.
func TTL(d time.Duration) TTLOption { return TTLOption{d} }

func (o TTLOption) applyTable(c *tableOptions) { c.ttl, c.mortal = o.ttl, true }

func (o TTLOption) applyToTable(c *tableOptions)           { o.applyTable(c) }
func (o TTLOption) applySourceTable(c *sourceTableOptions) { o.applyTable(&c.table) }

// checkTTL reports a TTL that is not possible. The TTL itself is checked with the store.
func (b *Builder) checkTTL(n *node, o tableOptions) {
	if o.mortal && o.versioned {
		b.problem("%v: has TTL and Versioned, but versions expire by the history: remove one of them", n)
	}
}

// refuseTTL reports a TTL that would give wrong results, or has no effect.
func (b *Builder) refuseTTL(n *node, o tableOptions, why string) {
	if o.mortal {
		b.problem("%v: %s", n, why)
	}
}
