package batch_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestTitle: the title is in the line of the time, for empty batches too. Without a title
// the block is Spark's.
func TestTitle(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := topology.New()
	each := batch.Every(topology.Source(b, "in", serde.String, serde.String), "each", time.Second)
	values := batch.CountByValue(each, "values")
	values.Print(&out, batch.Title("values, as they come"), batch.Rows(1))
	each.Count("count").Print(&out)
	d := topologytest.New(t, build(t, b), topologytest.Start(time.UnixMilli(5000)))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	in.Send("1", "b", d.Now())
	in.Send("2", "a", d.Now())
	d.Advance(time.Second)
	d.Advance(time.Second)

	const rule = "-------------------------------------------\n"
	want := rule + "Time: 1970-01-01 00:00:06  values, as they come\n" + rule + "(a,1)\n...\n\n" +
		rule + "Time: 1970-01-01 00:00:06\n" + rule + "2\n\n" +
		rule + "Time: 1970-01-01 00:00:07  values, as they come\n" + rule + "\n" +
		rule + "Time: 1970-01-01 00:00:07\n" + rule + "0\n\n"
	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}
