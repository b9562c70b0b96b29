package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestImpossibleTTL checks that Build refuses a TTL that is wrong, gives wrong results,
// or has no effect.
func TestImpossibleTTL(t *testing.T) {
	t.Parallel()
	ttl := topology.TTL(time.Hour)
	table := func(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, int64] {
		return topology.SourceTable(b, "rows", serde.String, serde.Int64, opts...)
	}
	grouped := func(b *topology.Builder) topology.GroupedTable[string, int64] {
		return topology.GroupTable(table(b), "by", func(int64) string { return "" }, serde.String)
	}
	add := func(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value }
	plus := func(a, v int64) int64 { return a + v }
	for name, c := range map[string]struct {
		build func(b *topology.Builder)
		want  string
	}{
		"zero":          {func(b *topology.Builder) { table(b, topology.TTL(0)) }, "store rows: TTL(0s): the time to live must be positive"},
		"microseconds":  {func(b *topology.Builder) { table(b, topology.TTL(time.Microsecond)) }, "whole number of milliseconds"},
		"versioned":     {func(b *topology.Builder) { table(b, ttl, topology.Versioned(time.Hour)) }, "has TTL and Versioned"},
		"without store": {func(b *topology.Builder) { table(b, ttl, topology.WithoutStore()) }, "has WithoutStore together with an option of a store"},
		"versioned count": {func(b *topology.Builder) {
			topology.GroupByKey(topology.Source(b, "in", serde.String, serde.Int64), "g").Count("c", ttl, topology.Versioned(time.Hour))
		}, "has TTL and Versioned"},
		"count of a table":  {func(b *topology.Builder) { grouped(b).Count("c", ttl) }, "an aggregate that expires would still have rows"},
		"reduce of a table": {func(b *topology.Builder) { grouped(b).Reduce("c", plus, plus, ttl) }, "an aggregate that expires would still have rows"},
		"aggregate of a table": {func(b *topology.Builder) {
			topology.AggregateTable(grouped(b), "c", func() int64 { return 0 }, add, add, serde.Int64, ttl)
		}, "an aggregate that expires would still have rows"},
		"foreign-key join": {func(b *topology.Builder) {
			left := table(b)
			right := topology.SourceTable(b, "right", serde.String, serde.Int64)
			topology.JoinForeign(left, right, "j", func(int64) (string, bool) { return "", true }, plus, serde.Int64, ttl)
		}, "without the subscriptions of a join, updates would be lost"},
		"suppress": {func(b *topology.Builder) {
			table(b).Suppress("s", topology.UntilTimeLimit(time.Second), ttl)
		}, "Suppress must not lose the rows that it holds back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			topology.Source(b, "other", serde.String, serde.Int64).To("out")
			c.build(b)
			if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Build: %v, want an error with %q", err, c.want)
			}
		})
	}
}
