package topologytest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// enriched joins orders with a table of users, and forwards the table's updates. The
// values of users are numbers, so a text cannot be decoded.
func enriched(t testing.TB, opts ...topology.SourceTableOption) *topology.Topology {
	b := topology.New()
	users := topology.SourceTable(b, "users", serde.String, serde.Int64, opts...)
	known := topology.LeftJoin(topology.Source(b, "orders", serde.String, serde.String), users,
		func(o string, n int64, ok bool) string { return fmt.Sprint(o, n, ok) }, serde.String)
	known.To("known")
	users.Stream().To("changes")
	return build(t, b)
}

// TestTableFromItsTopic compares a table whose topic is its changelog with a model: the
// records of the topic that have been processed, in order of offset. Tasks crash and lose
// their disks. Some records cannot be decoded, have no key, or a negative timestamp.
func TestTableFromItsTopic(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 12, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		opts := []topology.SourceTableOption{topology.SourceAsChangelog()}
		if r.IntN(2) == 0 {
			opts = append(opts, topology.InMemory())
		}
		if r.IntN(2) == 0 {
			opts = append(opts, topology.SkipInvalidTimestamps())
		}
		policy := processor.ErrorPolicy{Decode: processor.Skip}
		if r.IntN(2) == 0 {
			policy = processor.ErrorPolicy{Decode: processor.DeadLetter, DeadLetterTopic: "dead"}
		}
		options := []topologytest.Option{
			topologytest.Partitions("users", 2), topologytest.Partitions("orders", 2), topologytest.Start(start), topologytest.ErrorPolicy(policy),
			topologytest.CommitInterval(time.Duration(r.IntN(3)) * 5 * time.Millisecond), topologytest.Workers(1 + r.IntN(2)),
		}
		if r.IntN(2) == 0 {
			options = append(options, topologytest.EveryUpdate())
		}
		d := topologytest.New(t, enriched(t, opts...), options...)
		bad := 0
		rows := []map[string]string{{}, {}}
		for i := range 80 {
			p := int32(r.IntN(2))
			key, at := fmt.Sprint(p, "-", r.IntN(5)), processor.Timestamp(1000+r.IntN(500))
			value := []byte{0, 0, 0, 0, 0, 0, 0, byte(i)}
			switch r.IntN(10) {
			case 0:
				d.Send("users", p, []byte(key), []byte("no number"), at)
				bad++
			case 1:
				d.Send("users", p, nil, value, at)
			case 2:
				d.Send("users", p, []byte(key), value, -5)
			case 3, 4:
				d.Send("users", p, []byte(key), nil, at)
				delete(rows[p], key)
			default:
				d.Send("users", p, []byte(key), value, at)
				rows[p][key] = fmt.Sprint(i, "@", int64(at))
			}
			d.Advance(time.Duration(r.IntN(7)) * time.Millisecond)
			how := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}[r.IntN(4)]
			switch r.IntN(6) {
			case 0:
				d.Crash("users", p, how)
			case 1:
				d.CrashAll(how)
			case 2:
				d.Restart()
			}
			if r.IntN(4) > 0 {
				continue
			}
			d.Commit()
			d.Crash("users", p, topologytest.LoseDisk)
			for p := range int32(2) {
				got := map[string]string{}
				for e, err := range topologytest.Store[state.KeyValueStore[string, int64]](d, "users", p).All() {
					if err != nil {
						t.Fatal(err)
					}
					got[e.Key] = fmt.Sprint(e.Value, "@", int64(e.Timestamp))
				}
				if fmt.Sprint(got) != fmt.Sprint(rows[p]) {
					t.Fatalf("after record %d, partition %d has %v, want %v", i, p, got, rows[p])
				}
			}
		}
		d.Commit()
		if policy.DeadLetterTopic != "" && len(d.Topic("dead")) < bad {
			t.Errorf("%d dead letters of %d records that cannot be decoded", len(d.Topic("dead")), bad)
		}
		if slices.ContainsFunc(d.Topics(), func(topic string) bool { return strings.Contains(topic, "users-changelog") }) {
			t.Errorf("the table has a changelog of its own: %q", d.Topics())
		}
	})
}

// A table that is added to a program begins with the rows of the records that were
// processed before.
func TestTableFromItsTopicIsAdded(t *testing.T) {
	t.Parallel()
	b := topology.New()
	topology.Source(b, "users", serde.String, serde.Int64).To("out")
	d := topologytest.New(t, build(t, b))
	topologytest.Input(d, "users", serde.String, serde.Int64).Send("ann", 7, start)
	d.Commit()
	d.RestartWith(enriched(t, topology.SourceAsChangelog()))
	topologytest.Input(d, "orders", serde.String, serde.String).Send("ann", "tea", start)
	d.Commit()
	if got := lines(topologytest.Output(d, "known", serde.String, serde.String).Records()); !slices.Equal(got, []string{"ann=tea7 true"}) {
		t.Errorf("got %q", got)
	}
}

// A restored row may be missing if compaction has removed its record. Its deletion is
// forwarded nevertheless.
func TestDeletionsOfMissingRows(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, enriched(t, topology.SourceAsChangelog()), topologytest.CommitInterval(time.Second), topologytest.Start(start))
	topologytest.Input(d, "users", serde.String, serde.Int64).SendRecord(processor.Record[string, int64]{Key: "ann", NoValue: true, Timestamp: 9})
	d.Commit()
	if got := d.Topic("changes"); len(got) != 1 || got[0].Value != nil {
		t.Errorf("got %v, want one deletion", got)
	}
}

// If the policy fails, a restore does too: the row of a record that cannot be decoded now
// must not be lost.
func TestTableFromItsTopicFails(t *testing.T) {
	t.Parallel()
	broken := false
	b := topology.New()
	topology.SourceTable[string, int64](b, "users", serde.String, switchable{&broken}, topology.SourceAsChangelog())
	d := topologytest.New(t, build(t, b))
	topologytest.Input(d, "users", serde.String, serde.Int64).Send("ann", 7, start)
	d.Commit()
	broken = true
	err := d.Try(func() { d.Crash("users", 0, topologytest.LoseDisk) })
	if err == nil || !strings.Contains(err.Error(), "decode: users offset 0") && !strings.Contains(err.Error(), "offset 0") {
		t.Errorf("got %v", err)
	}
}

// A restore drops a record with an invalid timestamp as processing did, without asking
// the policy.
func TestTableFromItsTopicDropsInvalidTimestamps(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, enriched(t, topology.SourceAsChangelog(), topology.SkipInvalidTimestamps()))
	seven := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	d.Send("users", 0, []byte("ann"), seven, 100)
	d.Send("users", 0, []byte("bob"), seven, -1)
	d.Commit()
	d.Crash("users", 0, topologytest.LoseDisk)
	users := topologytest.Store[state.KeyValueStore[string, int64]](d, "users", 0)
	for name, want := range map[string]bool{"ann": true, "bob": false} {
		if _, ok, err := users.Get(name); ok != want || err != nil {
			t.Errorf("%s is there: %t, %v; want %t", name, ok, err, want)
		}
	}
}

// switchable is serde.Int64 that can be broken.
type switchable struct{ broken *bool }

func (s switchable) Append(dst []byte, n int64) ([]byte, error) { return serde.Int64.Append(dst, n) }
func (s switchable) Decode(data []byte) (int64, error) {
	if *s.broken {
		return 0, fmt.Errorf("it is broken")
	}
	return serde.Int64.Decode(data)
}
