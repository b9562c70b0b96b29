package millrace_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// groupsTo sends the counts of the groups of a table.
func groupsTo(topic string) version {
	return func(in topology.Stream[string, string]) {
		groups := topology.GroupTable(toTable(in), "by-value", self, serde.String).Count("groups", topology.EveryUpdate())
		topology.MapValues(groups.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To(topic)
	}
}

// A topology with a store that would lack records is refused. Each remedy that the error
// names works as it is printed, and the results are then right: the settings let the
// store begin without the earlier records, a new ID and a reset fill it with all of them.
func TestRemediesOfAMissingPast(t *testing.T) {
	t.Parallel()
	counts := [2][]string{{"k=1", "k=2"}, {"k=1", "k=2", "k=3", "k=4"}}
	for _, c := range []struct {
		name          string
		before, now   version
		bare, refills []string // what is in "out2" in the end
	}{
		{"a new store", none, countsTo("out2", "counts"), counts[0], counts[1]},
		{"a renamed store", count("counts"), countsTo("out2", "totals"), counts[0], counts[1]},
		{
			"a further input", countMore,
			func(in topology.Stream[string, string]) { countsTo("out2", "counts")(in.Merge(more(in))) }, counts[0], counts[1],
		},
		{"groups of a table", table, groupsTo("out2"), []string{"b=", "c=1", "c=0", "d=1"}, []string{"a=1", "a=0", "b=1", "b=0", "c=1", "c=0", "d=1"}},
	} {
		for _, remedy := range []string{"settings", "a new ID", "a reset"} {
			t.Run(c.name+"/"+remedy, func(t *testing.T) {
				t.Parallel()
				v := newVersions(t)
				v.create("more", 1)
				disk := t.TempDir()
				v.starts(c.before, disk, "a")
				v.starts(c.before, disk, "b")
				err := run(t, v.build(c.now), v.config(disk)).wait()
				if err == nil {
					t.Fatal("it is not refused")
				}
				want := c.refills
				switch remedy {
				case "settings":
					want = c.bare
					v.accepting(printed(err, "StartEmpty"), func() { v.starts(c.now, disk, "c", printed(err, "RemoveStores")...) })
				case "a new ID":
					checkRefused(t, err, "; or give the application a new ID; ")
					v.app = "another"
					v.starts(c.now, disk, "c")
				case "a reset":
					v.reset(err)
					v.starts(c.now, disk, "c")
				}
				app := run(t, v.build(c.now), v.config(disk))
				v.send("in", "k=d")
				if got := v.read("out2", len(want)); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				app.stop()
			})
		}
	}
}

// printed returns the names of stores that an error tells to put into a setting.
func printed(err error, setting string) []string {
	match := regexp.MustCompile(`set Config\.` + setting + ` to ([^;]+);`).FindStringSubmatch(err.Error())
	if match == nil {
		return nil
	}
	return strings.Split(match[1], ", ")
}

// reset does what an error says of a reset.
func (v *versions) reset(err error) {
	v.t.Helper()
	match := regexp.MustCompile(`delete its internal topics \(([^)]+)\), its group's offsets and its state directories \(here ([^)]+)\)`).FindStringSubmatch(err.Error())
	if match == nil {
		v.t.Fatalf("got %v\nwant an error that says how to reset the application", err)
	}
	var patterns []string
	for _, name := range regexp.MustCompile(`, | and `).Split(match[1], -1) {
		if strings.HasPrefix(name, "-") {
			name = v.app + name
		}
		patterns = append(patterns, strings.ReplaceAll(regexp.QuoteMeta(name), `\.\.\.`, ".*"))
	}
	internal := regexp.MustCompile("^(" + strings.Join(patterns, "|") + ")$")
	admin := kadm.NewClient(v.cl)
	topics, err := admin.ListTopics(context.Background())
	if err != nil {
		v.t.Fatal(err)
	}
	for _, topic := range topics.Names() {
		if !internal.MatchString(topic) {
			continue
		}
		if _, err := admin.DeleteTopic(context.Background(), topic); err != nil {
			v.t.Fatal(err)
		}
	}
	var offsets kadm.TopicsSet
	for topic, partitions := range v.GroupInfo(v.app).Commits {
		for p := range partitions {
			offsets.Add(topic, p)
		}
	}
	if _, err := admin.DeleteOffsets(context.Background(), v.app, offsets); err != nil {
		v.t.Fatal(err)
	}
	if err := os.RemoveAll(match[2]); err != nil {
		v.t.Fatal(err)
	}
}

// A store whose values have changed goes under a new name, as the error says. One start
// with both settings is enough.
func TestRemedyOfAChangedStore(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	v.starts(aggregate(serde.String), disk, "a")
	v.refused(aggregate(serde.Float64), disk, "store agg",
		"or give a store that has changed a new name, name the old one in Config.RemoveStores, and the new one in Config.StartEmpty")
	v.accepting([]string{"totals"}, func() { v.starts(countsTo("out2", "totals"), disk, "b", "agg") })
	v.starts(countsTo("out2", "totals"), disk, "c")
	if got := v.read("out2", 2); !slices.Equal(got, []string{"k=1", "k=2"}) {
		t.Errorf("got %q", got)
	}
}
