package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// asking attaches a processor to the topic "ask". It reads the table, and sends what ask
// returns.
func asking(b *Builder, table processor.StoreSpec, open func(ctx) (ask func(rec) (string, error))) {
	newP := func() *funcs {
		var ask func(rec) (string, error)
		return &funcs{
			init: func(c ctx) error { ask = open(c); return nil },
			process: func(c ctx, r rec) (err error) {
				r.Value, err = ask(r)
				c.Forward(r)
				return err
			},
		}
	}
	Process(Source(b, "ask", serde.String, serde.String), "reader", newP, serde.String, serde.String, table).To("out")
}

func TestProcessorReadsTheNewestRows(t *testing.T) {
	t.Parallel()
	b := New()
	counts := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Count("counts")
	MapValues(counts.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("counted")
	asking(b, counts, func(c ctx) func(rec) (string, error) {
		rows := state.OpenTable(c, counts)
		return func(r rec) (string, error) {
			n, at, ok, err := rows.GetTimestamped(r.Key)
			text := fmt.Sprint(rows.Name(), " ", n, "@", int64(at), " ", ok)
			for e, failure := range rows.ReverseRange("a", "b") {
				text, err = text+" "+e.Key, failure
			}
			return text, err
		}
	})
	f := run(t, b)
	f.Feed("in", "a:x@1", "b:x@2", "c:x@2", "a:x@3")
	f.Feed("ask", "a:@4", "z:@4")
	f.Expect("out a:counts 2@3 true b a@4", "out z:counts 0@0 false b a@4")
	f.Commit()
	f.Expect("counted a:2@3", "counted b:1@2", "counted c:1@2")
	if len(f.Graph.SubTopologies) != 1 || len(f.Graph.Stores) != 1 {
		t.Errorf("%d sub-topologies, %d stores", len(f.Graph.SubTopologies), len(f.Graph.Stores))
	}
	if got := f.Graph.Feeding(f.Graph.Stores[0]); !slices.Equal(got, []string{"in"}) {
		t.Errorf("the store is fed by %q", got)
	}
}

// TestValuesOfATableThatAReaderKeeps: an aggregation that changes its values in place
// does not change those that a processor has read.
func TestValuesOfATableThatAReaderKeeps(t *testing.T) {
	t.Parallel()
	for _, ranged := range []bool{false, true} {
		b := New()
		type letters = map[string]int
		add := func(m letters, r rec) letters { m[r.Value]++; return m }
		table := Aggregate(GroupByKey(Source(b, "in", serde.String, serde.String), "by-key"), "letters", func() letters { return letters{} }, add, serde.JSON[letters]())
		var kept []letters
		asking(b, table, func(c ctx) func(rec) (string, error) {
			rows := state.OpenTable(c, table)
			return func(r rec) (string, error) {
				if ranged {
					for e, err := range rows.All() {
						kept = append(kept, e.Value)
						if err != nil {
							return "", err
						}
					}
					return "", nil
				}
				m, _, err := rows.Get(r.Key)
				kept = append(kept, m)
				return "", err
			}
		})
		f := run(t, b)
		for range 2 {
			f.Feed("in", "a:x@1")
			f.Feed("ask", "a:@1")
			f.Feed("in", "a:y@1")
			f.Feed("ask", "a:@1")
			f.Commit()
		}
		want := []letters{{"x": 1}, {"x": 1, "y": 1}, {"x": 2, "y": 1}, {"x": 2, "y": 2}}
		if !slices.EqualFunc(kept, want, func(a, b letters) bool { return maps.Equal(a, b) }) {
			t.Errorf("ranged %v: kept %v, want %v", ranged, kept, want)
		}
	}
}

func TestProcessorReadsWindows(t *testing.T) {
	t.Parallel()
	b := New()
	grouped := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key")
	windows := grouped.Window(Tumbling(10 * time.Millisecond)).Count("windows").Final()
	asking(b, windows, func(c ctx) func(rec) (string, error) {
		rows := windowstore.OpenTable(c, windows)
		return func(r rec) (text string, err error) {
			n, ok, err := rows.Get(r.Key, 0)
			text = fmt.Sprint(n, ok)
			for e, failure := range rows.Fetch(r.Key, 0, 100) {
				text, err = fmt.Sprint(text, " ", int64(e.Start), "..", int64(e.End), "=", e.Value), failure
			}
			return text, err
		}
	})
	f := run(t, b)
	f.Feed("in", "a:x@1", "a:x@2", "a:x@9")
	f.Feed("ask", "a:@9")
	f.Expect("out a:3 true 0..10=3@9")
}

func TestProcessorReadsSessions(t *testing.T) {
	t.Parallel()
	b := New()
	sessions := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Sessions(5 * time.Millisecond).Count("sessions")
	asking(b, sessions, func(c ctx) func(rec) (string, error) {
		rows := sessionstore.OpenTable(c, sessions)
		return func(r rec) (text string, err error) {
			for e, failure := range rows.Find(r.Key, 0, 100) {
				text, err = fmt.Sprint(text, int64(e.Start), "..", int64(e.End), "=", e.Value), failure
			}
			return text, err
		}
	})
	f := run(t, b)
	f.Feed("in", "a:x@1", "a:x@4")
	f.Feed("ask", "a:@9")
	f.Expect("out a:1..4=2@9")
}

func TestProcessorReadsVersions(t *testing.T) {
	t.Parallel()
	b := New()
	prices := SourceTable(b, "prices", serde.String, serde.String, Versioned(time.Hour))
	asking(b, prices, func(c ctx) func(rec) (string, error) {
		versions, newest := versionedstore.OpenTable(c, prices), state.OpenTable(c, prices)
		return func(r rec) (string, error) {
			was, _, err := versions.GetAsOf(r.Key, 15)
			if err != nil {
				return "", err
			}
			is, _, err := newest.Get(r.Key)
			return was.Value + " " + is, err
		}
	})
	f := run(t, b)
	f.Feed("prices", "a:one@10", "a:two@20")
	f.Feed("ask", "a:@9")
	f.Expect("out a:one two@9")
}

func TestProcessorDoesNotFindExpiredRows(t *testing.T) {
	t.Parallel()
	b := New()
	table := SourceTable(b, "rows", serde.String, serde.String, TTL(10*time.Millisecond))
	asking(b, table, func(c ctx) func(rec) (string, error) {
		rows := state.OpenTable(c, table)
		return func(r rec) (string, error) {
			v, ok, err := rows.Get(r.Key)
			n := 0
			for range rows.PrefixScan(nil) {
				n++
			}
			return fmt.Sprint(v, ok, n), err
		}
	})
	f := run(t, b)
	f.Feed("rows", "a:x@1", "b:y@10")
	f.Feed("ask", "a:@10")
	f.Feed("rows", "b:y@11")
	f.Feed("ask", "a:@11", "b:@11")
	f.Expect("out a:xtrue 2@10", "out a:false 1@11", "out b:ytrue 1@11")
}

// TestATableForReadingCannotBeWritten: a spec with the name of the table's store does not
// give a processor more than the table.
func TestATableForReadingCannotBeWritten(t *testing.T) {
	t.Parallel()
	for want, open := range map[string]func(ctx, Table[string, string], WindowedTable[string, int64]){
		"store of a table, which only the table may write": func(c ctx, _ Table[string, string], _ WindowedTable[string, int64]) {
			state.Open(c, state.KeyValue("rows", serde.String, serde.String))
		},
		"open the store of table windows: it is a store of another kind, or with other types: use windowstore.OpenTable for windows": func(c ctx, _ Table[string, string], windows WindowedTable[string, int64]) {
			state.OpenTable(c, windows)
		},
		"and state.OpenTable for all other tables": func(c ctx, table Table[string, string], _ WindowedTable[string, int64]) {
			versionedstore.OpenTable(c, table)
		},
		"open the store of table own: the processor was given a store of its own with this name, and not a table: open it with Open": func(c ctx, _ Table[string, string], _ WindowedTable[string, int64]) {
			state.OpenTable(c, state.KeyValue("own", serde.String, serde.String))
		},
		`was not given store "other"`: func(c ctx, _ Table[string, string], _ WindowedTable[string, int64]) {
			state.OpenTable(c, state.KeyValue("other", serde.String, serde.String))
		},
		"the table has none: call Stored on it": func(c ctx, table Table[string, string], _ WindowedTable[string, int64]) {
			state.OpenTable(c, Table[string, string]{})
		},
	} {
		b := New()
		table := SourceTable(b, "rows", serde.String, serde.String)
		windows := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Window(Tumbling(time.Second)).Count("windows")
		newP := func() *funcs { return &funcs{init: func(c ctx) error { open(c, table, windows); return nil }} }
		own := state.KeyValue("own", serde.String, serde.String)
		Process(Source(b, "ask", serde.String, serde.String), "reader", newP, serde.String, serde.String, table, windows, own)
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := graphtest.New(t, topo.g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestTablesThatAProcessorCannotRead(t *testing.T) {
	t.Parallel()
	other := New()
	foreign := SourceTable(other, "rows", serde.String, serde.String)
	for want, table := range map[string]func(b *Builder) processor.StoreSpec{
		`was given the table of filter "rows-filter", which has no store: call Stored on it and pass`: func(b *Builder) processor.StoreSpec {
			return SourceTable(b, "rows", serde.String, serde.String).Filter(func(string) bool { return true })
		},
		`was given the table of suppress "calm", which has no store: call Stored on it and pass`: func(b *Builder) processor.StoreSpec {
			return SourceTable(b, "rows", serde.String, serde.String).Suppress("calm", UntilTimeLimit(time.Second))
		},
		`was given the table of filter "bare-filter", which has no store: call Stored on it and pass`: func(b *Builder) processor.StoreSpec {
			return SourceTable(b, "bare", serde.String, serde.String, WithoutStore()).Filter(func(string) bool { return true })
		},
		"remove WithoutStore where the table is made": func(b *Builder) processor.StoreSpec {
			return SourceTable(b, "rows", serde.String, serde.String, WithoutStore())
		},
		"was given a handle of another Builder": func(*Builder) processor.StoreSpec { return foreign },
	} {
		b := New()
		asking(b, table(b), func(ctx) func(rec) (string, error) { return nil })
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
