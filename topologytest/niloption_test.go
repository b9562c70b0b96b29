package topologytest_test

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// idle is a processor that does nothing. It has a size, so that two have two addresses.
type idle struct{ _ int }

func (*idle) Init(timeless) error            { return nil }
func (*idle) Process(timeless, record) error { return nil }

// TestNilOptions: a nil option of a store or of the driver has no effect.
func TestNilOptions(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "p", func() *idle { return &idle{} }, serde.String, serde.String,
		state.KeyValue("kv", serde.String, serde.String, nil),
		windowstore.New("w", serde.String, serde.String, time.Second, time.Minute, nil),
		sessionstore.New("s", serde.String, serde.String, time.Minute, nil),
		versionedstore.New("v", serde.String, serde.String, time.Minute, nil))
	d := topologytest.New(t, build(t, b), nil)
	topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", start)
	if n := d.Dropped(); n != 0 {
		t.Errorf("%d records were dropped", n)
	}
}
