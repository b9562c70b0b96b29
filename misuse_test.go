package millrace_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// keepsContext passes on the Context of its Init.
type keepsContext struct {
	kept chan processor.Context[string, string]
}

func (p keepsContext) Init(ctx processor.Context[string, string]) error {
	p.kept <- ctx
	return nil
}

func (keepsContext) Process(processor.Context[string, string], processor.Record[string, string]) error {
	return nil
}

// A Context that was kept and is used by another goroutine, while no call of the
// processor runs, ends a run in production too.
func TestKeptContext(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		kept := make(chan processor.Context[string, string], 1)
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.String)
		topology.Process(in, "p", func() keepsContext { return keepsContext{kept} }, serde.String, serde.String).To("out")
		app := run(t, build(t, b), c.config("app", t.TempDir()))
		ctx := <-kept
		synctest.Wait() // Init has returned
		ctx.Forward(processor.Record[string, string]{Key: "stray"})
		if err := app.wait(); !errors.Is(err, processor.ErrOutsideCall) || !strings.Contains(err.Error(), "node p: method Forward") {
			t.Errorf("Run: %v", err)
		}
		if got := c.records("out"); len(got) > 0 {
			t.Errorf("%d records were sent", len(got))
		}
	}, kfake.SeedTopics(1, "in", "out"))
}
