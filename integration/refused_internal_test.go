package integration

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/windowstore"
)

var (
	rowOf    = state.KeyValue("row-of", serde.String, serde.String)
	windowOf = windowstore.New("window-of", serde.String, serde.String, time.Hour, 24*time.Hour)
)

// keep is a processor that keeps values in a store that it has opened itself.
type keep struct {
	windowed bool
	put      func(key, value string, at processor.Timestamp) error
}

func (p *keep) Init(ctx processor.Context[string, string]) error {
	if p.windowed {
		p.put = windowstore.Open(ctx, windowOf).Put
		return nil
	}
	rows := state.Open(ctx, rowOf)
	p.put = func(key, value string, _ processor.Timestamp) error { return rows.Put(key, value) }
	return nil
}

func (p *keep) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	return p.put(r.Key, r.Value, r.Timestamp)
}

// keeping is an application with such a processor.
func (c *cluster) keeping(t *testing.T, guarantee millrace.Guarantee, windowed bool) *refusals {
	t.Helper()
	r := &refusals{c: c, application: name(t, "app"), in: name(t, "in")}
	c.createTopic(t, r.in, 1)
	c.alter(t, r.in, "message.timestamp.after.max.ms", "9223372036854775807")
	c.cleanUp(t, r.application)
	var spec processor.StoreSpec = rowOf
	if windowed {
		spec = windowOf
	}
	b := topology.New()
	in := topology.Source(b, r.in, serde.String, serde.String)
	topology.Process(in, "keep", func() *keep { return &keep{windowed: windowed} }, serde.String, serde.String, spec)
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	r.topology = built
	r.cfg = millrace.Config{
		ApplicationID: r.application, Brokers: []string{c.brokers}, StateDir: filepath.Join(t.TempDir(), "state"), Guarantee: guarantee,
		Workers: 1, CommitInterval: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Errors: processor.ErrorPolicy{Produce: processor.Skip},
	}
	return r
}

// If the changelog of a processor's own store refuses a row, Run fails, whatever the
// policy. The error names the input record that wrote the row. The records before it are
// committed.
func TestRefusedRowOfAProcessor(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for changelog, windowed := range map[string]bool{"-row-of-changelog": false, "-window-of-changelog": true} {
		for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
			t.Run(fmt.Sprint(changelog[1:], " ", guarantee), func(t *testing.T) {
				t.Parallel()
				r := c.keeping(t, guarantee, windowed)
				record := func(i int) *kgo.Record {
					return &kgo.Record{Topic: r.in, Key: fmt.Append(nil, "k", i), Value: fmt.Append(nil, "v", i)}
				}
				_, done := r.run(t)
				r.produce(t, []*kgo.Record{record(0)})
				r.drain(t, done)
				c.alter(t, r.application+changelog, "message.timestamp.after.max.ms", "1000")
				const bad = 11
				var records []*kgo.Record
				for i := 1; i <= 2*bad; i++ {
					records = append(records, record(i))
				}
				// The timestamp is so close to the limit that only the broker can tell.
				records[bad-1].Timestamp = time.Now().Add(5 * time.Minute)
				r.produce(t, records)
				err := <-done
				var e *processor.Error
				if !errors.As(err, &e) || !errors.Is(err, kerr.InvalidTimestamp) || e.Topic != r.in || e.Offset != bad {
					t.Fatalf("Run returned %v, want the refusal of record %d", err, bad)
				}
				offsets, err := c.admin(t).FetchOffsets(t.Context(), r.application)
				if err != nil {
					t.Fatal(err)
				}
				if at, _ := offsets.Lookup(r.in, 0); at.At != bad {
					t.Errorf("committed %d, want %d", at.At, bad)
				}
			})
		}
	}
}
