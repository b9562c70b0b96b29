package millrace_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// holding counts records, and forwards the count at each commit. It asks for a commit
// when the record "now" comes.
type holding struct {
	patient bool
	n       int64
}

func (h *holding) Patient() bool { return h.patient }

func (h *holding) Init(processor.Context[string, int64]) error { return nil }

func (h *holding) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	h.n++
	if r.Value == "now" {
		ctx.Commit()
	}
	return nil
}

func (h *holding) Flush(ctx processor.Context[string, int64]) error {
	if h.n > 0 {
		ctx.Forward(processor.NewRecord("n", h.n, 1))
	}
	h.n = 0
	return nil
}

// commitTimes counts commits with records.
type commitTimes struct{ n atomic.Int64 }

func (c *commitTimes) OnCommit(commit millrace.Commit) {
	if commit.Records > 0 {
		c.n.Add(1)
	}
}

// An idle worker commits early only if somebody waits: not if all records went to patient
// processors, until one of these asks for a commit.
func TestPatientProcessorsNeedNoEarlyCommit(t *testing.T) {
	t.Parallel()
	const (
		interval = 100 * time.Millisecond
		each     = 5 * time.Millisecond
		records  = 200
		full     = int64(records * each / interval) // commits, if each waits
	)
	for _, test := range []struct {
		name        string
		patient     bool
		copied      bool // the records go to a topic too
		filtered    bool // no record goes to the topic
		least, most int64
		asks        bool // the processor asks for a commit
	}{
		{name: "patient", patient: true, least: full / 2, most: full + 2, asks: true},
		{name: "not patient", least: 3 * full, most: records},
		{name: "patient, and a sink that gets nothing", patient: true, filtered: true, least: full / 2, most: full + 2},
		{name: "patient, and a sink", patient: true, copied: true, least: 3 * full, most: records},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				b := topology.New()
				in := topology.Source(b, "in", serde.String, serde.String).Filter(func(string) bool { return true })
				topology.Process(in, "hold", func() *holding { return &holding{patient: test.patient} }, serde.String, serde.Int64).To("out")
				if test.filtered {
					in.Filter(func(value string) bool { return value == "" }).To("copy")
				}
				if test.copied {
					in.To("copy")
				}
				var commits commitTimes
				seen := newStates()
				cfg := c.config("app", t.TempDir())
				cfg.CommitInterval, cfg.Hooks = interval, []millrace.Hook{seen, &commits}
				app := run(t, build(t, b), cfg)
				seen.await(t, millrace.Running)
				for range records {
					c.sendAt("in", "later", time.Second)
					<-time.After(each)
				}
				if n := commits.n.Load(); n < test.least || n > test.most {
					t.Errorf("%d commits of %d records, want %d to %d", n, records, test.least, test.most)
				}
				if test.asks {
					<-time.After(2 * interval)
					before := commits.n.Load()
					c.sendAt("in", "now", time.Second)
					<-time.After(interval / 4)
					if commits.n.Load() == before {
						t.Error("no commit, although the processor has asked for one")
					}
				}
				app.stop()
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				c.cl.AddConsumeTopics("out")
				for sum := int64(0); sum < records; {
					fetches := c.cl.PollFetches(ctx)
					if ctx.Err() != nil {
						t.Fatalf("the counts add up to %d, want %d", sum, records)
					}
					fetches.EachRecord(func(r *kgo.Record) {
						n, err := serde.Int64.Decode(r.Value)
						if err != nil {
							t.Error(err)
						}
						sum += n
					})
				}
			}, kfake.SeedTopics(1, "in", "out", "copy"))
		})
	}
}
