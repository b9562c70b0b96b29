package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestFinalIsRefused checks that Build explains why a table cannot be Final.
func TestFinalIsRefused(t *testing.T) {
	t.Parallel()
	tumbling := topology.Tumbling(time.Minute)
	for want, make := range map[string]func(g topology.Grouped[string, string]){
		"EveryUpdate sends each update": func(g topology.Grouped[string, string]) {
			g.Window(tumbling).Count("n", topology.EveryUpdate()).Final()
		},
		"its window never ends": func(g topology.Grouped[string, string]) {
			g.Window(topology.Unlimited(time.UnixMilli(0))).Count("n").Final()
		},
		"call it first": func(g topology.Grouped[string, string]) {
			counts := g.Window(tumbling).Count("n")
			counts.Stream().To("out")
			counts.Final()
		},
	} {
		b := topology.New()
		make(topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by"))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build returned %v, want an error with %q", err, want)
		}
	}
}
