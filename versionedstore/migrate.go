package versionedstore

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// Migrate is for a store whose values have a new type or another serde. old is the serde
// that the store had before, and f makes a new value of an old one. See state.Migrate.
// Earlier versions are converted like the newest ones. With each of them, the newest
// version of its key is logged again, so that it stays the last record of the key.
func Migrate[Old, New any](old serde.Serde[Old], f func(old Old) New) Option {
	return migrate(store.NewMigration("Migrate", old, store.Always(f)))
}

// TryMigrate is [Migrate] with a function that can fail.
func TryMigrate[Old, New any](old serde.Serde[Old], f func(old Old) (New, error)) Option {
	return migrate(store.NewMigration("TryMigrate", old, f))
}

func migrate(step store.Migration) Option {
	return func(o *options) { o.Migrations = o.Migrations.With(step) }
}

// Migrated takes the place of the first n options [Migrate] or [TryMigrate] of a store,
// once all rows are converted. See topology.Migrated.
func Migrated(n int) Option {
	return func(o *options) { o.Migrations = o.Migrations.WithGone(n) }
}
