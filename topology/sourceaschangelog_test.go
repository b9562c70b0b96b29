package topology

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// upperless is a key serde of the user with one encoding for each key.
type upperless struct{ serde.Serde[string] }

func (upperless) Canonical() bool { return true }

func TestSourceAsChangelogIsRefused(t *testing.T) {
	t.Parallel()
	time0 := func(processor.Record[string, string], processor.Timestamp) (processor.Timestamp, error) {
		return 0, nil
	}
	table := func(keys serde.Serde[string], opts ...SourceTableOption) func(*Builder) Table[string, string] {
		return func(b *Builder) Table[string, string] {
			return SourceTable(b, "users", keys, serde.String, append(opts, SourceAsChangelog())...)
		}
	}
	plain := table(serde.String)
	for says, build := range map[string]func(b *Builder){
		"with TimestampFrom":           func(b *Builder) { table(serde.String, TimestampFrom(time0))(b) },
		"with PartitionTimeForInvalid": func(b *Builder) { table(serde.String, PartitionTimeForInvalid())(b) },
		"with StartAtLatest":           func(b *Builder) { table(serde.String, StartAtLatest())(b) },
		"with OutOfRangeEarliest":      func(b *Builder) { table(serde.String, OutOfRangeEarliest())(b) },
		"with TTL":                     func(b *Builder) { table(serde.String, TTL(time.Hour))(b) },
		"with Versioned":               func(b *Builder) { table(serde.String, Versioned(time.Hour))(b) },
		"with WithoutChangelog":        func(b *Builder) { table(serde.String, WithoutChangelog())(b) },
		"with WithoutStore":            func(b *Builder) { table(serde.String, WithoutStore())(b) },
		"with Migrate": func(b *Builder) {
			table(serde.String, Migrate(serde.Bytes, func(old []byte) string { return string(old) }))(b)
		},
		"json":                  func(b *Builder) { table(serde.JSON[string]())(b) },
		`filter "users-filter"`: func(b *Builder) { plain(b).Filter(startsWithY).Stream().To("out") },
		`stored "kept"`:         func(b *Builder) { plain(b).Stored("kept") },
		`groupTable "by-city"`: func(b *Builder) {
			GroupTable(plain(b), "by-city", strings.ToUpper, serde.String).Count("cities")
		},
		`joinTables`: func(b *Builder) {
			upper := MapTable(plain(b), strings.ToUpper, serde.String)
			JoinTables(upper, SourceTable(b, "others", serde.String, serde.String), func(a, b string) string { return a + b }, serde.String)
		},
	} {
		b := New()
		build(b)
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "SourceAsChangelog") || !strings.Contains(err.Error(), says) {
			t.Errorf("want a refusal that says %q, got %v", says, err)
		}
	}
}

// Joins with streams, streams of updates, and filters that are only looked up are
// possible.
func TestSourceAsChangelogIsPossible(t *testing.T) {
	t.Parallel()
	b := New()
	users := SourceTable[string, string](b, "users", upperless{serde.String}, serde.String, SourceAsChangelog(), InMemory(), EveryUpdate())
	users.Stream().To("changes")
	and := func(a, b string) string { return a + b }
	orders := Source[string, string](b, "orders", upperless{serde.String}, serde.String)
	Join(orders, users.Filter(startsWithY), and, serde.String).To("out")
	Join(orders, MapTable(users, strings.ToUpper, serde.String), and, serde.String).To("out2")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	shape := topo.g.Shape()
	if s := shape.SubTopologies[0].Stores; len(s) != 1 || !s[0].FromTopic {
		t.Errorf("stores %+v", s)
	}
}
