package topologytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// versions builds a topology that counts topic "a", and whatever extra adds.
func versions(t testing.TB, extra func(b *topology.Builder, a topology.Stream[string, string])) *topology.Topology {
	b := topology.New()
	a := topology.Source(b, "a", serde.String, serde.String)
	extra(b, a)
	topology.GroupByKey(a, "by-key").Count("counts").Stream().To("out")
	return build(t, b)
}

func TestRestartWithMoreSourcesAndOperators(t *testing.T) {
	t.Parallel()
	none := func(*topology.Builder, topology.Stream[string, string]) {}
	d := topologytest.New(t, versions(t, none), topologytest.Partitions("a", 2), topologytest.Topics("b", "more"))
	a := topologytest.Input(d, "a", serde.String, serde.String)
	b := topologytest.Input(d, "b", serde.String, serde.String)
	out := topologytest.Output(d, "out", serde.String, serde.Int64)
	more := topologytest.Output(d, "more", serde.String, serde.String)
	a.Send("k", "1", start)
	b.Send("k", "before", start)
	want(t, lines(out.Records()), "k=1")

	d.RestartWith(versions(t, func(b *topology.Builder, a topology.Stream[string, string]) {
		a.Filter(func(v string) bool { return v != "" }).To("more")
		topology.Source(b, "b", serde.String, serde.String).To("more")
		topology.Source(b, "c", serde.String, serde.String, topology.StartAtLatest()).To("more")
	}))
	want(t, lines(more.Records()), "k=before")
	a.Send("k", "2", start)
	b.Send("k", "after", start)
	want(t, lines(out.Records()), "k=2")
	want(t, lines(more.Records()), "k=2", "k=after")
	d.Crash("counts", 0, topologytest.LoseDisk)
	d.Crash("counts", 1, topologytest.LoseDisk)
	d.RestartWith(versions(t, none))
	a.Send("k", "3", start)
	want(t, lines(out.Records()), "k=3")
}

func TestStartAtLatest(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, versions(t, func(*topology.Builder, topology.Stream[string, string]) {}), topologytest.Topics("c"))
	c := topologytest.Input(d, "c", serde.String, serde.String)
	c.Send("k", "before", start)
	d.RestartWith(versions(t, func(b *topology.Builder, _ topology.Stream[string, string]) {
		topology.Source(b, "c", serde.String, serde.String, topology.StartAtLatest()).To("more")
	}))
	c.Send("k", "after", start)
	want(t, lines(topologytest.Output(d, "more", serde.String, serde.String).Records()), "k=after")
}

func TestRestartRefusesToMisreadState(t *testing.T) {
	t.Parallel()
	b := topology.New()
	a := topology.Source(b, "a", serde.String, serde.String)
	topology.GroupByKey(a, "by-key").Window(topology.Tumbling(time.Second)).Count("counts")
	windowed := build(t, b)
	d := topologytest.New(t, versions(t, func(*topology.Builder, topology.Stream[string, string]) {}))
	topologytest.Input(d, "a", serde.String, serde.String).Send("k", "1", start)
	if err := d.Try(func() { d.RestartWith(windowed) }); err == nil || !strings.Contains(err.Error(), "counts") {
		t.Fatalf("got %v, want that the rows of counts would be misread", err)
	}
	d.Restart() // continues with the version before
	topologytest.Input(d, "a", serde.String, serde.String).Send("k", "2", start)
	want(t, lines(topologytest.Output(d, "out", serde.String, serde.Int64).Records()), "k=1", "k=2")
}
