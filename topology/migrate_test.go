package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// Where rows cannot be migrated, Build says so.
func TestMigrateIsRefused(t *testing.T) {
	t.Parallel()
	toText := topology.Migrate(serde.Int64, func(int64) string { return "" })
	text := func(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, string] {
		return topology.SourceTable(b, "rows", serde.String, serde.String, opts...)
	}
	for want, add := range map[string]func(b *topology.Builder){
		"has WithoutStore together with an option of a store": func(b *topology.Builder) {
			text(b, topology.WithoutStore(), toText)
		},
		"buffer calm: the migration from format 0 returns values of type float64, but the values of the store have type string": func(b *topology.Builder) {
			text(b).Suppress("calm", topology.UntilTimeLimit(time.Second), topology.Migrate(serde.Int64, func(int64) float64 { return 0 }))
		},
		"buffer calm: Migrate was given a nil serde": func(b *topology.Builder) {
			text(b).Suppress("calm", topology.UntilTimeLimit(time.Second), topology.Migrate(nil, func(int64) string { return "" }))
		},
		"the subscriptions of a join do not have the values of a table": func(b *topology.Builder) {
			topology.JoinForeign(text(b), topology.SourceTable(b, "owners", serde.String, serde.String), "owned",
				func(v string) (string, bool) { return v, true }, func(a, b string) string { return a + b }, serde.String, toText)
		},
		"returns values of type string, but the values of the store have type float64": func(b *topology.Builder) {
			topology.Aggregate(topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key"), "sums", func() float64 { return 0 },
				func(sum float64, _ processor.Record[string, string]) float64 { return sum }, serde.Float64, toText)
		},
		"window store counts: the migration from format 0 returns values of type string": func(b *topology.Builder) {
			topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key").Window(topology.Tumbling(time.Minute)).Count("counts", toText)
		},
	} {
		b := topology.New()
		add(b)
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	b := topology.New()
	text(b, topology.MigrateOption{}, toText)
	if _, err := b.Build(); err != nil {
		t.Error(err)
	}
}
