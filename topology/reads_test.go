package topology

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/serde"
)

// reading is a case of TestReads.
type reading struct {
	build   func(b *Builder)
	history func(f *graphtest.Task)
	records func(f *graphtest.Task)

	// What the records may read at most: right after the history, and after a restart,
	// when no row is in memory.
	warm, cold engine.Reads
}

// many feeds n records. Each is in the form of graphtest.Task.Feed.
func many(n int, topic, form string, args func(i int) []any) func(f *graphtest.Task) {
	return func(f *graphtest.Task) {
		for i := range n {
			f.Feed(topic, fmt.Sprintf(form, args(i)...))
		}
	}
}

// from returns times, the first of which is at, with a step between them.
func from(at, step int) func(i int) []any { return func(i int) []any { return []any{at + step*i} } }

// keysFrom is from with the number of the record in front of the time.
func keysFrom(at, step int) func(i int) []any {
	return func(i int) []any { return []any{i, at + step*i} }
}

// all calls the functions one after the other.
func all(feeds ...func(f *graphtest.Task)) func(f *graphtest.Task) {
	return func(f *graphtest.Task) {
		for _, feed := range feeds {
			feed(f)
		}
	}
}

func grouped(b *Builder) Grouped[string, string] {
	return GroupByKey(Source(b, "in", serde.String, serde.String), "by-key")
}

// twoStreams joins the topics l and r.
func twoStreams(b *Builder, w JoinWindows) {
	l, r := Source(b, "l", serde.String, serde.String), Source(b, "r", serde.String, serde.String)
	OuterJoinWindow(l, r, "joined", w, sides, serde.String).To("out")
}

// readings are the cases of TestReads. The histories have 300 records.
var readings = map[string]reading{
	// The windows of the history begin within twice the size before the records, and end
	// before them.
	"sliding windows": {
		build:   func(b *Builder) { grouped(b).Window(Sliding(ms(1000)).Grace(ms(100_000))).Count("n") },
		history: many(300, "in", "k:x@%d", from(10_000, 1)),
		records: many(20, "in", "k:x@%d", from(11_500, 1)),
		// The windows of a key are listed once.
		cold: engine.Reads{Scans: 1, Rows: 310},
	},
	"sessions": {
		build:   func(b *Builder) { grouped(b).Sessions(ms(10)).Count("n") },
		history: many(300, "in", "k:x@%d", from(0, 100)),
		records: many(20, "in", "k:x@%d", from(29_905, 5)),
		cold:    engine.Reads{Gets: 1, Scans: 1, Rows: 2},
	},
	// After 10 minutes, the store has deleted rows, so the filter of keys is given up.
	"new windows": {
		build:   func(b *Builder) { grouped(b).Window(Tumbling(ms(10))).Count("n") },
		history: all(many(5, "in", "k:x@%d", from(0, 60_000)), (*graphtest.Task).Commit, many(5, "in", "k:x@%d", from(300_000, 60_000)), (*graphtest.Task).Commit),
		records: many(100, "in", "k:x@%d", from(700_000, 10)),
	},
	// Each record closes one window.
	"final": {
		build:   func(b *Builder) { grouped(b).Window(Tumbling(ms(10)).Grace(ms(100_000))).Count("n").Final() },
		history: many(300, "in", "k:x@%d", from(0, 10)),
		records: many(100, "in", "k:x@%d", from(100_010, 10)),
		cold:    engine.Reads{Gets: 100},
	},
	"suppress": {
		build: func(b *Builder) {
			SourceTable(b, "in", serde.String, serde.String).Suppress("calm", UntilTimeLimit(ms(10_000))).Stream().To("out")
		},
		history: many(300, "in", "k%d:x@%d", keysFrom(0, 1)),
		records: many(10, "in", "k%d:y@%d", keysFrom(1000, 1)),
		cold:    engine.Reads{Gets: 20},
	},
	"outer join": {
		build:   func(b *Builder) { twoStreams(b, Within(ms(10_000))) },
		history: many(300, "l", "a%d:x@%d", keysFrom(0, 1)),
		records: many(100, "r", "b%d:y@%d", keysFrom(1000, 1)),
		warm:    engine.Reads{Gets: 5}, // the filter of keys is not exact
		cold:    engine.Reads{Gets: 105, Scans: 100},
	},
	// Each record makes one record of the other side due.
	"outer join, when records are due": {
		build:   func(b *Builder) { twoStreams(b, Within(ms(10_000))) },
		history: many(300, "l", "a%d:x@%d", keysFrom(0, 1)),
		records: many(100, "r", "b%d:y@%d", keysFrom(10_001, 1)),
		warm:    engine.Reads{Gets: 5, Scans: 100, Rows: 200},
		cold:    engine.Reads{Gets: 205, Scans: 210, Rows: 310},
	},
	// A right record is due, and 300 left records are not.
	"outer join, when one side waits longer": {
		build:   func(b *Builder) { twoStreams(b, Within(0).Before(ms(2000)).After(ms(10_000))) },
		history: all(many(1, "r", "r:y@%d", from(0, 0)), many(300, "l", "a%d:x@%d", keysFrom(1, 1))),
		records: many(1, "l", "z:x@%d", from(2001, 0)),
		warm:    engine.Reads{Scans: 1, Rows: 20},
		cold:    engine.Reads{Gets: 3, Scans: 2, Rows: 20},
	},
	"join with a grace": {
		build: func(b *Builder) {
			table := SourceTable(b, "table", serde.String, serde.String, Versioned(ms(100_000)))
			Join(Source(b, "in", serde.String, serde.String), table, both, serde.String, Grace(ms(50_000)), Named("joined")).To("out")
		},
		history: many(300, "in", "k%d:x@%d", keysFrom(0, 1)),
		records: many(50, "in", "k%d:x@%d", keysFrom(1000, 1)),
	},
	"newest version": {
		build: func(b *Builder) {
			table := SourceTable(b, "table", serde.String, serde.String, Versioned(ms(100_000)))
			Join(Source(b, "in", serde.String, serde.String), table, both, serde.String).To("out")
		},
		history: many(300, "table", "k:x@%d", from(0, 1)),
		records: all(many(50, "table", "k:x@%d", from(1000, 1)), many(50, "in", "k:x@%d", from(2000, 1))),
		cold:    engine.Reads{Gets: 1},
	},
	// Each of the foreign keys has 3 rows.
	"foreign key": {
		build: func(b *Builder) {
			left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String)
			JoinForeign(left, right, "joined", func(v string) (string, bool) { return v, true }, both, serde.String).Stream().To("out")
		},
		history: many(300, "l", "k%d:f%d@1", func(i int) []any { return []any{i, i % 100} }),
		records: many(5, "r", "f%d:x@%d", keysFrom(2, 1)),
		warm:    engine.Reads{Scans: 5, Rows: 15},
		cold:    engine.Reads{Gets: 20, Scans: 5, Rows: 15},
	},
	"time to live": {
		build:   func(b *Builder) { grouped(b).Count("n", TTL(ms(100_000))).Stream().To("out") },
		history: many(300, "in", "k%d:x@%d", keysFrom(1_000_000, 1)),
		records: many(20, "in", "k%d:x@%d", keysFrom(1_001_000, 1)),
		warm:    engine.Reads{Scans: 2},
		cold:    engine.Reads{Gets: 20, Scans: 2},
	},
	// No child needs the rows as they were.
	"new rows of a table": {
		build: func(b *Builder) {
			table := SourceTable(b, "in", serde.String, serde.String)
			table.Stream().To("out")
			MapTable(table, firstLetter, serde.String).Stream().To("letters")
		},
		history: many(300, "in", "k%d:x@%d", keysFrom(0, 1)),
		records: many(100, "in", "k%d:y@%d", keysFrom(1000, 1)),
	},
	// A group needs them.
	"changed rows of a table": {
		build: func(b *Builder) {
			GroupTable(SourceTable(b, "in", serde.String, serde.String), "by-letter", firstLetter, serde.String).Count("n")
		},
		history: many(300, "in", "k%d:x@%d", keysFrom(0, 1)),
		records: many(100, "in", "k%d:y@%d", keysFrom(1000, 1)),
		warm:    engine.Reads{Gets: 1},
		cold:    engine.Reads{Gets: 102},
	},
}

// TestReads holds the operators to what they may read: a record costs the same, however
// long the history is. It counts reads, and measures no time.
func TestReads(t *testing.T) {
	t.Parallel()
	for name, r := range readings {
		for when, most := range map[string]engine.Reads{"warm": r.warm, "cold": r.cold} {
			t.Run(name+"/"+when, func(t *testing.T) {
				t.Parallel()
				b := New()
				r.build(b)
				f := run(t, b)
				r.history(f)
				if f.Commit(); when == "cold" {
					f.Restart()
				}
				f.Stores.Reads = engine.Reads{}
				r.records(f)
				f.Commit()
				if got := f.Stores.Reads; got.Gets > most.Gets || got.Scans > most.Scans || got.Rows > most.Rows {
					t.Errorf("read %+v, want at most %+v", got, most)
				}
			})
		}
	}
}
