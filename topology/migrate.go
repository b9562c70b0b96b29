package topology

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// MigrateOption is an option of an operator that keeps a table in a store. [Migrate],
// [TryMigrate] and [Migrated] make one.
type MigrateOption struct {
	apply func(*store.Migrations) *store.Migrations
}

// Migrate is for a table whose values have a new type or another serde, in a new version
// of the program. old is the serde that the values had before, and f makes a new value of
// an old one:
//
//	topology.Aggregate(orders, "totals", newTotal, add, serde.JSON[Total](),
//		topology.Migrate(serde.Int64, func(sum int64) Total { return Total{Sum: sum} }))
//
// The rows of the table are kept, and none is misread. The formats of values have
// numbers: rows from before the first migration have format 0, and each Migrate adds one.
// The number is stored with each row and with each record of the changelog.
//
//   - A row that has an earlier format is converted whenever it is read: by the operator,
//     by a join, as the old value of an update, and by a query.
//   - In the background, each task writes all its rows in the newest format, to its disk
//     and to the changelog: at most 4,000 rows, and about 4 MB, in each commit. A
//     conversion is no update: nothing is forwarded, and a row keeps its timestamp. The
//     log, and HookMigrated, say when the rows of a task are all converted. The earlier
//     versions of a [Versioned] table are rows like any other.
//   - If the values change again, add a Migrate behind the first one: the options are in
//     the order of the formats, oldest first. Rows of format 0 then go through both
//     functions.
//
// # Deploying, and going back
//
// The new version is deployed like any other. It records its formats, in Kafka, before
// its first task runs. From then on, the version from before is refused at the start or
// when it is given a task, because it would misread the rows. A version that has another
// serde for one of the formats is refused as well, and so is one that lacks the option.
//
// Keep the option until all rows are converted. [Migrated] can then take its place.
//
// # What f must do
//
// f is called for each old row, and perhaps more than once. It must depend on its
// argument only, and must not fail: use [TryMigrate] if it can. If f panics or returns an
// error, or if old cannot decode a row, Run returns an error that names the store, the
// key and the formats; the task in it has the number of the partition. No error policy
// applies, because leaving the row out would lose it. Nothing is lost: start a version
// with a corrected function. f must not return a value that counts as absent, such as nil
// with serde.Nullable.
//
// # What is not converted
//
// The option converts the rows of one store:
//
//   - Records of repartition topics have no format of their own. If the values of a
//     grouped stream or table change as well, stop the input, and let the application
//     process what is in its repartition topics, before the new version starts. While
//     they have such records, the new version is refused.
//   - Keys cannot be changed: give the table another name.
//   - A [Table.Suppress] behind the table has a store of its own. Give it the same
//     options.
//   - Joins of streams and foreign-key joins do not take the option. Global tables need
//     none: they read their topic again.
//   - Without a changelog, only the rows on the disk of this process are converted.
func Migrate[Old, New any](old serde.Serde[Old], f func(old Old) New) MigrateOption {
	return migrate(store.NewMigration("Migrate", old, store.Always(f)))
}

// TryMigrate is [Migrate] with a function that can fail.
func TryMigrate[Old, New any](old serde.Serde[Old], f func(old Old) (New, error)) MigrateOption {
	return migrate(store.NewMigration("TryMigrate", old, f))
}

func migrate(step store.Migration) MigrateOption {
	return MigrateOption{func(m *store.Migrations) *store.Migrations { return m.With(step) }}
}

// Migrated takes the place of the first n options [Migrate] of a table, when no row has
// one of the first n formats any more. The program then needs neither the old types nor
// the functions. n must stay, because the numbers of the formats continue.
//
// The application records in Kafka which partitions are converted. If one of them is not,
// the start is refused with an error that names it. Migrated needs a changelog.
// Package topologytest does not check this: there, reading an old row is an error.
func Migrated(n int) MigrateOption {
	return MigrateOption{func(m *store.Migrations) *store.Migrations { return m.WithGone(n) }}
}

func (o MigrateOption) applyTable(c *tableOptions) {
	if o.apply != nil { // the zero value has no effect
		c.migrations = o.apply(c.migrations)
	}
}

func (o MigrateOption) applyWindowedTable(c *tableOptions)     { o.applyTable(c) }
func (o MigrateOption) applyToTable(c *tableOptions)           { o.applyTable(c) }
func (o MigrateOption) applySourceTable(c *sourceTableOptions) { o.applyTable(&c.table) }

// refuseMigration reports migrations of a store that does not have the values of a table.
func (b *Builder) refuseMigration(n *node, o *tableOptions, why string) {
	if o.migrations != nil {
		b.problem("%v: %s", n, why)
		o.migrations = nil
	}
}
