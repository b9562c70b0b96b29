package integration

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// poison is an application that fails in every phase:
//
//   - a value that is not a number does not decode;
//   - 3 returns an error;
//   - 4 panics;
//   - 5 becomes a record that the broker refuses because of its size.
type poison struct {
	c                          *cluster
	application, in, out, dead string
	dir                        string
}

func (c *cluster) poison(t *testing.T) *poison {
	p := &poison{c: c, application: name(t, "app"), in: name(t, "in"), out: name(t, "out"), dead: name(t, "dead"), dir: filepath.Join(t.TempDir(), "state")}
	for _, topic := range []string{p.in, p.out, p.dead} {
		c.createTopic(t, topic, 1)
	}
	c.cleanUp(t, p.application)
	client := c.client(t)
	for i, number := range []int64{1, -1, 2, 3, 4, 5, 6, -1} {
		value, err := serde.Encode(serde.Int64, number)
		if err != nil {
			t.Fatal(err)
		}
		if number < 0 {
			value = []byte("no number")
		}
		r := &kgo.Record{Topic: p.in, Key: fmt.Appendf(nil, "k%d", i), Value: value}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// run runs the application with a policy until it ends, or has committed all its input.
func (p *poison) run(t *testing.T, policy processor.ErrorPolicy) error {
	t.Helper()
	b := topology.New()
	numbers := topology.Source(b, p.in, serde.String, serde.Int64)
	texts := topology.TryMapValues(numbers, func(n int64) (string, error) {
		switch n {
		case 3:
			return "", errors.New("three is refused")
		case 4:
			panic("four")
		case 5:
			random := make([]byte, 1<<20) // random data cannot be compressed
			_, _ = rand.Read(random)
			return hex.EncodeToString(random), nil
		}
		return fmt.Sprint(n), nil
	}, serde.String, topology.Named("texts"))
	texts.To(p.out)
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(built, millrace.Config{ApplicationID: p.application, Brokers: []string{p.c.brokers}, StateDir: p.dir, Errors: policy,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p.c.finish(t, app, p.application, p.in)
}

// finish runs an application until it has committed all of its input, or has ended by
// itself. It returns what Run returned.
func (c *cluster) finish(t *testing.T, app *millrace.App, application string, in ...string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	admin := c.admin(t)
	deadline := time.After(patience)
	for {
		select {
		case err := <-done:
			return err
		case <-deadline:
			t.Fatal("the application has neither ended nor committed its input in time")
		default:
		}
		if c.dataLag(t, admin, application, in...) == 0 {
			cancel()
			return <-done
		}
	}
}

func (p *poison) texts(t *testing.T, topic string, of func(*kgo.Record) string) []string {
	t.Helper()
	var got []string
	p.c.committed(t, topic, func(r *kgo.Record) { got = append(got, of(r)) })
	return got
}

func value(r *kgo.Record) string { return string(r.Value) }

func TestSkippedRecordsAreCommittedPast(t *testing.T) {
	t.Parallel()
	p := kafka(t).poison(t)
	if err := p.run(t, processor.ErrorPolicy{Decode: processor.Skip, Process: processor.Skip, Produce: processor.Skip}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "6"}, p.texts(t, p.out, value)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	p := kafka(t).poison(t)
	policy := processor.ErrorPolicy{Decode: processor.DeadLetter, Process: processor.DeadLetter, Produce: processor.DeadLetter, DeadLetterTopic: p.dead}
	if err := p.run(t, policy); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "6"}, p.texts(t, p.out, value)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got := p.texts(t, p.dead, func(r *kgo.Record) string {
		said := map[string]string{}
		for _, h := range r.Headers {
			said[h.Key] = string(h.Value)
		}
		if said[processor.DeadLetterTopic] != p.in || said[processor.DeadLetterPartition] != "0" || said[processor.DeadLetterError] == "" || said[processor.DeadLetterNode] == "" {
			t.Errorf("headers of a dead letter: %v", said)
		}
		return fmt.Sprintf("%s %s@%s", r.Key, said[processor.DeadLetterPhase], said[processor.DeadLetterOffset])
	})
	want := []string{"k1 decode@1", "k3 process@3", "k4 process@4", "k5 produce@5", "k7 decode@7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead letters (-want +got)\n%s", diff)
	}
}

// TestFailResumesAtTheRecord: each failure ends Run with an error that names the record.
// Nothing of the record is committed, and the next start gets it again.
func TestFailResumesAtTheRecord(t *testing.T) {
	t.Parallel()
	p := kafka(t).poison(t)
	policy := processor.ErrorPolicy{}
	for _, want := range []struct {
		offset int64
		phase  processor.Phase
		skip   *processor.Action // the action that skips the record
	}{
		{1, processor.Decode, &policy.Decode},
		{3, processor.Process, &policy.Process},
		{5, processor.Produce, &policy.Produce},
	} {
		for range 2 {
			var failure *processor.Error
			if err := p.run(t, policy); !errors.As(err, &failure) {
				t.Fatalf("Run returned %v, want a *processor.Error", err)
			}
			if failure.Topic != p.in || failure.Partition != 0 || failure.Offset != want.offset || failure.Phase != want.phase {
				t.Errorf("failed with %v, want record %d in phase %v", failure, want.offset, want.phase)
			}
		}
		*want.skip = processor.Skip
	}
	if err := p.run(t, policy); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "6"}, p.texts(t, p.out, value)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
