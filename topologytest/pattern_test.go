package topologytest_test

import (
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// A topic that matches a pattern exists as soon as the test names it, and state is kept.
func TestPattern(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
	topology.GroupByKey(in, "by-key").Count("counts").Stream().To("out")
	d := topologytest.New(t, build(t, b), topologytest.Topics("in-0"))
	out := topologytest.Output(d, "out", serde.String, serde.Int64)
	for i, topic := range []string{"in-0", "in-1", "in-2", "in-1"} {
		topologytest.Input(d, topic, serde.String, serde.String).Send("k", "v", start)
		want(t, lines(out.Records()), "k="+string(rune('1'+i)))
	}
	d.CrashAll(topologytest.LoseDisk)
	d.Restart()
	topologytest.Input(d, "in-2", serde.String, serde.String).Send("k", "v", start)
	want(t, lines(out.Records()), "k=5")
}

// A topic that does not match is refused, and one that appears after a failure is read
// after the restart.
func TestPatternThatDoesNotMatch(t *testing.T) {
	t.Parallel()
	b := topology.New()
	topology.SourcePattern(b, "ins", `in-[0-9]`, serde.Int64, serde.String).To("out")
	topo := build(t, b)
	text := fatal(t, func(tb testing.TB) {
		topologytest.Input(topologytest.New(tb, topo), "in-12", serde.Int64, serde.String)
	})
	if !strings.Contains(text, `there is no topic "in-12"`) {
		t.Errorf("got %q", text)
	}
	d := topologytest.New(t, topo)
	if err := d.Try(func() { d.Send("in-1", 0, []byte("no number"), nil, 0) }); err == nil {
		t.Fatal("a key that cannot be decoded is no error")
	}
	topologytest.Input(d, "in-2", serde.Int64, serde.String)
	if err := d.Try(d.Restart); err == nil {
		t.Error("the record that fails is gone")
	}
}
