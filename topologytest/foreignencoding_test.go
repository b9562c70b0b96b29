package topologytest_test

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// order and orderWithNote are the values of a table, before and after a field was added.
// Rows from before are read, but their encoding is another one now.
type order struct{ Owner string }

type orderWithNote struct {
	Owner string
	Note  string
}

// ownedTopology joins orders with their owners by a foreign key.
func ownedTopology[V any](t *testing.T, left bool, orders serde.Serde[V], owner func(V) string, opts ...topology.SourceTableOption) *topology.Topology {
	t.Helper()
	b := topology.New()
	table := topology.SourceTable(b, "orders", serde.String, orders, opts...)
	owners := topology.SourceTable(b, "owners", serde.String, serde.String)
	to := func(v V) (string, bool) { return owner(v), true }
	join := func(_ V, o string, ok bool) string { return fmt.Sprint(o, " ", ok) }
	var owned topology.Table[string, string]
	if left {
		owned = topology.LeftJoinForeign(table, owners, "owned", to, join, serde.String)
	} else {
		owned = topology.JoinForeign(table, owners, "owned", to, func(v V, o string) string { return join(v, o, true) }, serde.String)
	}
	owned.Stream().To("out")
	return build(t, b)
}

// If a new version of a program encodes the rows of the left table differently, the
// subscriptions from before still lead to results.
func TestForeignJoinAfterAChangedEncoding(t *testing.T) {
	t.Parallel()
	before := serde.JSON[order]()
	text := func(o order) string { return o.Owner }
	for name, after := range map[string]func(t *testing.T, left bool) *topology.Topology{
		"a field more": func(t *testing.T, left bool) *topology.Topology {
			return ownedTopology(t, left, serde.JSON[orderWithNote](), func(o orderWithNote) string { return o.Owner })
		},
		"another serde": func(t *testing.T, left bool) *topology.Topology {
			return ownedTopology(t, left, serde.String, func(owner string) string { return owner }, topology.Migrate(before, text))
		},
	} {
		for _, left := range []bool{false, true} {
			for _, every := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/left %t/every update %t", name, left, every), func(t *testing.T) {
					t.Parallel()
					var opts []topologytest.Option
					if every {
						opts = append(opts, topologytest.EveryUpdate())
					}
					d := topologytest.New(t, ownedTopology(t, left, before, text), opts...)
					owners := topologytest.Input(d, "owners", serde.String, serde.String)
					topologytest.Input(d, "orders", serde.String, before).Send("o", order{Owner: "ann"}, start)
					owners.Send("ann", "Ann", start)
					d.Commit()
					d.RestartWith(after(t, left))
					d.Commit()
					seen := len(d.Topic("out"))
					for _, step := range []struct{ send, want string }{{"Anne", "Anne true"}, {"Anna", "Anna true"}, {"", map[bool]string{true: " false"}[left]}} {
						if step.send == "" {
							owners.SendRecord(processor.Record[string, string]{Key: "ann", NoValue: true, Timestamp: processor.TimestampOf(start)})
						} else {
							owners.Send("ann", step.send, start)
						}
						d.Commit()
						got := d.Topic("out")
						if len(got) != seen+1 || string(got[seen].Value) != step.want {
							t.Fatalf("after the owner %q: %d new results %v, want %q", step.send, len(got)-seen, got[seen:], step.want)
						}
						seen = len(got)
					}
				})
			}
		}
	}
}
