package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestSuppressIsRefused checks that Build explains why updates cannot be held back.
func TestSuppressIsRefused(t *testing.T) {
	t.Parallel()
	second := topology.UntilTimeLimit(time.Second)
	counts := func(b *topology.Builder) topology.Table[string, int64] {
		return topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by").Count("n")
	}
	for want, make := range map[string]func(b *topology.Builder){
		"the Suppression is the zero value": func(b *topology.Builder) { counts(b).Suppress("s", topology.Suppression{}) },
		"needs a name":                      func(b *topology.Builder) { counts(b).Suppress("", second) },
		"must not be negative":              func(b *topology.Builder) { counts(b).Suppress("s", topology.UntilTimeLimit(-time.Second)) },
		"whole number of milliseconds":      func(b *topology.Builder) { counts(b).Suppress("s", topology.UntilTimeLimit(time.Microsecond)) },
		"would hold nothing back":           func(b *topology.Builder) { counts(b).Suppress("s", second.MaxRecords(0)) },
		"FailWhenFull has no effect":        func(b *topology.Builder) { counts(b).Suppress("s", second.FailWhenFull()) },
		"EveryUpdate contradicts Suppress":  func(b *topology.Builder) { counts(b).Suppress("s", second, topology.EveryUpdate()) },
		"UntilClosed needs the table of a windowed aggregation": func(b *topology.Builder) {
			counts(b).Suppress("s", topology.UntilClosed())
		},
		`the table has no store, so its earlier rows are not known: remove WithoutStore where table "in-table" is made, or call Stored on the table first`: func(b *topology.Builder) {
			topology.SourceTable(b, "in", serde.String, serde.String, topology.WithoutStore()).Suppress("s", second)
		},
		"the windows never end": func(b *topology.Builder) {
			g := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by")
			g.Window(topology.Unlimited(time.UnixMilli(0))).Count("n").Suppress("s", topology.UntilClosed())
		},
	} {
		b := topology.New()
		make(b)
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build returned %v, want an error with %q", err, want)
		}
	}
}
