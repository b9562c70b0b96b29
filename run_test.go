package millrace_test

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

func TestPassthrough(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(3, "in", "out"))
			c.send("in", "a=1", "b=2", "c=3", "d=4")
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			app := run(t, passthrough(t), cfg)
			got := c.read("out", 4)
			slices.Sort(got)
			if want := []string{"a=1", "b=2", "c=3", "d=4"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			app.stop()
			if s := app.State(); s != millrace.Closed {
				t.Errorf("state %v", s)
			}
			var total int64
			for p := range int32(3) {
				total += max(c.committed("app", "in", p), 0)
			}
			if total != 4 {
				t.Errorf("committed %d records, want 4", total)
			}
			if members := c.GroupInfo("app").Members; len(members) != 0 {
				t.Errorf("members left behind: %v", members)
			}
		})
	}
}

func TestCountOverRepartition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(3, "in", "out"))
	c.send("in", "1=x", "2=y", "3=x", "4=x", "5=y")
	topo, table := counting(t)
	app := run(t, topo, c.config("app", t.TempDir()))
	got := c.read("out", 5)
	slices.Sort(got)
	if want := []string{"x=1", "x=2", "x=3", "y=1", "y=2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	n, ok, err := millrace.Get(context.Background(), app.App, table, "x")
	if err != nil || !ok || n != 3 {
		t.Errorf("Get: %d, %v, %v", n, ok, err)
	}
	app.stop()
}
