package operator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// words is an aggregate that is changed in place: how often each value came. A nil
// pointer deletes the row.
type words = *map[string]int

var wordsSerde = serde.Nullable(serde.JSON[map[string]int]())

// addWord changes the aggregate in place. The value "-" deletes the row.
func addWord(last words, exists bool, r *graph.Record[string, string]) (words, bool, error) {
	if r.Value == "delete" {
		return nil, true, nil
	}
	if !exists {
		last = &map[string]int{}
	}
	(*last)[r.Value]++
	return last, true, nil
}

// sum is an aggregation of the table of words: the number of words in all rows. It also
// keeps each change, and a copy of its values at that time.
type sum struct {
	total   int
	changes []graph.Change[string, words]
	texts   []string
}

func (s *sum) ReceiveChange(c *graph.Change[string, words]) error {
	s.changes = append(s.changes, *c)
	s.texts = append(s.texts, changeText(c))
	s.total += size(c.Value) - size(c.Old)
	return nil
}

func size(w words) (n int) {
	if w == nil {
		return 0
	}
	for _, count := range *w {
		n += count
	}
	return n
}

func changeText(c *graph.Change[string, words]) string {
	text := func(w words, none bool) string {
		if (w == nil) != none {
			return fmt.Sprintf("%v but absent is %t", w, none)
		}
		if none {
			return "none"
		}
		return fmt.Sprint(*w)
	}
	return c.Key + ": " + text(c.Old, c.NoOld) + " -> " + text(c.Value, c.NoValue)
}

// table is a table of words, with children.
type table struct {
	*graphtest.Task
	sum *sum
}

// mode says how a table sends its updates.
type mode struct {
	every    bool // each update at once, of all tables
	everyOne bool // the same, for this table only
}

var modes = []mode{{}, {every: true}, {everyOne: true}}

func newTable(t *testing.T, m mode) table {
	s := &sum{}
	spec := state.KeyValue("words", serde.String, wordsSerde)
	if m.everyOne {
		spec = state.KeyValue("words", serde.String, wordsSerde, state.EveryUpdate())
	}
	source := &graph.Node{Name: "in", Kind: graph.Source, Topics: []graph.Topic{{Name: "in"}},
		New: Source[string, string]{Keys: serde.String, Values: serde.String}.New}
	counted := &graph.Node{Name: "words", Kind: graph.Processor, Parents: []*graph.Node{source}, Stores: []string{"words"},
		New: Aggregate[string, string, words]{Store: "words", Keys: serde.String, Values: wordsSerde, Add: addWord, EveryUpdate: m.everyOne}.New}
	summed := &graph.Node{Name: "sum", Kind: graph.Processor, Parents: []*graph.Node{counted},
		New: func(graph.Task, *graph.Node, []any) (any, error) { return s, nil }}
	sent := &graph.Node{Name: "out", Kind: graph.Sink, SinkTopic: graph.Topic{Name: "out"}, Parents: []*graph.Node{counted},
		New: Sink[string, words]{Keys: serde.String, Values: wordsSerde}.New}
	described, err := store.Of(spec)
	if err != nil {
		t.Fatal(err)
	}
	g := graph.Assemble([]*graph.Node{source, counted, summed, sent}, []*graph.Store{{Name: "words", Spec: described}}, nil)
	var opts []graphtest.Option
	if m.every {
		opts = append(opts, graphtest.WithEveryUpdate())
	}
	return table{graphtest.Start(t, g, opts...), s}
}

func TestChangesOfAnAggregateThatIsChangedInPlace(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		tab := newTable(t, m)
		tab.Feed("in", "k:a@1", "k:b@2")
		tab.Commit()
		tab.Feed("in", "k:a@3", "k:c@4")
		tab.Commit()
		tab.Feed("in", "k:delete@5", "l:a@6", "l:delete@7")
		tab.Commit()
		want := []string{"k: none -> map[a:1 b:1]", "k: map[a:1 b:1] -> map[a:2 b:1 c:1]", "k: map[a:2 b:1 c:1] -> none"}
		sent := []string{`out k:{"a":1,"b":1}@2`, `out k:{"a":2,"b":1,"c":1}@4`, "out k:-@5"}
		if m != (mode{}) {
			want = []string{
				"k: none -> map[a:1]", "k: map[a:1] -> map[a:1 b:1]", "k: map[a:1 b:1] -> map[a:2 b:1]",
				"k: map[a:2 b:1] -> map[a:2 b:1 c:1]", "k: map[a:2 b:1 c:1] -> none", "l: none -> map[a:1]", "l: map[a:1] -> none",
			}
			sent = []string{
				`out k:{"a":1}@1`, `out k:{"a":1,"b":1}@2`, `out k:{"a":2,"b":1}@3`, `out k:{"a":2,"b":1,"c":1}@4`,
				"out k:-@5", `out l:{"a":1}@6`, "out l:-@7",
			}
		}
		if !slices.Equal(tab.sum.texts, want) {
			t.Errorf("%+v: changes\n  %s\nwant\n  %s", m, strings.Join(tab.sum.texts, "\n  "), strings.Join(want, "\n  "))
		}
		tab.Expect(sent...)
		tab.expectKept(t, m)
	}
}

// expectKept fails if a value has changed after it was sent.
func (tab table) expectKept(t *testing.T, m mode) {
	t.Helper()
	for i := range tab.sum.changes {
		if now := changeText(&tab.sum.changes[i]); now != tab.sum.texts[i] {
			t.Errorf("%+v: change %d was %s, and became %s", m, i, tab.sum.texts[i], now)
		}
	}
}

// TestChangesAddUp: the old row of each change is the row that the children got last. The
// sum of all rows is therefore that of a model that folds all records.
func TestChangesAddUp(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		seedtest.Run(t, 20, func(t *testing.T, seed uint64) { changesAddUp(t, rand.New(rand.NewPCG(seed, 41)), m) })
	}
}

func changesAddUp(t *testing.T, r *rand.Rand, m mode) {
	tab := newTable(t, m)
	model := map[string]map[string]int{}
	for i := range 60 {
		key, value := string(rune('a'+r.IntN(3))), []string{"x", "y", "z", "delete"}[r.IntN(4)]
		tab.Feed("in", fmt.Sprintf("%s:%s@%d", key, value, i))
		if value == "delete" {
			delete(model, key)
		} else if model[key] == nil {
			model[key] = map[string]int{value: 1}
		} else {
			model[key][value]++
		}
		if r.IntN(5) == 0 {
			tab.Commit()
		}
	}
	tab.Commit()
	view := map[string]map[string]int{}
	for i, c := range tab.sum.changes {
		old, had := view[c.Key]
		if had == c.NoOld || had && !maps.Equal(old, *c.Old) {
			t.Fatalf("%+v: change %d is %s, the children were last sent %v", m, i, tab.sum.texts[i], old)
		}
		if delete(view, c.Key); !c.NoValue {
			view[c.Key] = maps.Clone(*c.Value)
		}
	}
	total := 0
	for _, row := range model {
		total += size(&row)
	}
	if tab.sum.total != total || !maps.EqualFunc(view, model, maps.Equal) {
		t.Errorf("%+v: the rows are %v and their sum is %d, want %v and %d", m, view, tab.sum.total, model, total)
	}
	tab.expectKept(t, m)
}
