package batch_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

func build(t testing.TB, b *topology.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// TestSample runs the design's example.
func TestSample(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := topology.New()
	tweets(b, &out)
	d := topologytest.New(t, build(t, b), topologytest.Partitions("tweets", 4))
	in := topologytest.Input(d, "tweets", serde.String, serde.JSON[tweet]())
	for i, a := range []string{"ann", "bob", "ann", "cid", "ann", "bob"} {
		in.Send(fmt.Sprint(i), tweet{Author: a}, d.Now())
	}
	in.Send("7", tweet{Author: "dan", Retweeted: &tweet{Author: "ann"}}, d.Now())
	d.Advance(5 * time.Second)
	d.Advance(5 * time.Second)

	const start, rows = 1577836800000, "(ann,3)\n(bob,2)\n(cid,1)\n"
	want := ""
	for _, block := range []struct {
		at   int
		rows string
	}{{5000, "6\n"}, {5000, rows}, {5000, rows}, {10000, "0\n"}, {10000, ""}, {10000, rows}} {
		const rule = "-------------------------------------------\n"
		want += fmt.Sprintf("%sTime: %s\n%s%s\n", rule, printed(int64(start+block.at)), rule, block.rows)
	}
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}
