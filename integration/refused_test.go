package integration

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// refusals is an application that copies records to three topics, depending on the kind
// with which a value begins. Each topic refuses some records:
//
//   - "time": the broker's default limit on timestamps. The bad timestamp is so close to
//     the limit that only the broker can detect it.
//   - "key": a record without a key, because the topic is compacted.
//   - "size": a record larger than a segment. A batch of good records may be too large as
//     well.
//
// The last two topics get these settings after the application has read their
// configuration, so that it cannot know them in advance.
type refusals struct {
	c                     *cluster
	application, in, dead string
	out                   map[string]string
	cfg                   millrace.Config
	topology              *topology.Topology
}

var refusalKinds = []string{"time", "key", "size"}

func (c *cluster) refusals(t *testing.T, guarantee millrace.Guarantee) *refusals {
	r := &refusals{c: c, application: name(t, "app"), in: name(t, "in"), dead: name(t, "dead"), out: map[string]string{}}
	c.createTopic(t, r.in, 1)
	c.createTopic(t, r.dead, 1)
	c.cleanUp(t, r.application)
	b := topology.New()
	cases := make([]topology.BranchCase[string], len(refusalKinds))
	for i, kind := range refusalKinds {
		r.out[kind] = name(t, kind)
		c.createTopic(t, r.out[kind], 1)
		cases[i] = topology.Case(kind, func(v string) bool { return strings.HasPrefix(v, kind) })
	}
	for i, s := range topology.Source(b, r.in, serde.String, serde.String).Branch("kind", cases...) {
		s.To(r.out[refusalKinds[i]])
	}
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	r.topology = built
	large := "5000000"
	c.alter(t, r.in, "message.timestamp.after.max.ms", "9223372036854775807")
	c.alter(t, r.in, "max.message.bytes", large)
	c.alter(t, r.dead, "max.message.bytes", large)
	c.alter(t, r.out["size"], "max.message.bytes", large)
	r.cfg = millrace.Config{
		ApplicationID: r.application, Brokers: []string{c.brokers}, StateDir: filepath.Join(t.TempDir(), "state"), Guarantee: guarantee,
		Workers: 1, CommitInterval: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return r
}

// alter changes a setting of a topic.
func (c *cluster) alter(t *testing.T, topic, setting, value string) {
	t.Helper()
	responses, err := c.admin(t).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: setting, Value: &value}}, topic)
	if err == nil {
		err = responses[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tighten makes the topics refuse records.
func (r *refusals) tighten(t *testing.T) {
	t.Helper()
	r.c.alter(t, r.out["key"], "cleanup.policy", "compact")
	r.c.alter(t, r.out["size"], "segment.bytes", "1048576")
}

// send writes n good records of each kind. For the kinds in bad, it adds a bad record in
// the middle.
func (r *refusals) send(t *testing.T, n int, bad ...string) {
	t.Helper()
	random := func(bytes int) string {
		b := make([]byte, bytes/2)
		_, _ = rand.Read(b) // random data cannot be compressed
		return hex.EncodeToString(b)
	}
	var records []*kgo.Record
	add := func(kind, value string) *kgo.Record {
		record := &kgo.Record{Topic: r.in, Key: []byte("k"), Value: []byte(kind + " " + value)}
		records = append(records, record)
		return record
	}
	for _, kind := range refusalKinds {
		for i := range n {
			value := fmt.Sprint("good", i)
			if kind == "size" {
				value += " " + random(120<<10)
			}
			add(kind, value)
			if i != n/2 {
				continue
			}
			for _, b := range bad {
				switch {
				case b != kind:
				case kind == "time":
					add(kind, "bad").Timestamp = time.Now().Add(time.Hour + 5*time.Minute)
				case kind == "key":
					add(kind, "bad").Key = nil
				case kind == "size":
					add(kind, "bad "+random(3<<20))
				}
			}
		}
	}
	r.produce(t, records)
}

func (r *refusals) produce(t *testing.T, records []*kgo.Record) {
	t.Helper()
	client := r.c.client(t, kgo.ProducerBatchMaxBytes(4<<20), kgo.MaxBufferedRecords(len(records)+1))
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// run starts the application. done receives Run's error.
func (r *refusals) run(t *testing.T) (stop func(), done <-chan error) {
	t.Helper()
	app, err := millrace.New(r.topology, r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	return cancel, ended
}

// drain waits until all input is committed.
func (r *refusals) drain(t *testing.T, done <-chan error) {
	t.Helper()
	admin := r.c.admin(t)
	deadline := time.After(patience)
	for r.c.dataLag(t, admin, r.application, r.in) != 0 {
		select {
		case err := <-done:
			t.Fatalf("Run returned %v", err)
		case <-deadline:
			t.Fatal("the input is not processed")
		default:
			pause(20 * time.Millisecond)
		}
	}
}

// values returns the first two words of the values in a topic.
func (r *refusals) values(t *testing.T, topic string) (values []string) {
	t.Helper()
	at := map[string]int{}
	r.c.committed(t, topic, func(record *kgo.Record) {
		words := strings.SplitN(string(record.Value), " ", 3)
		v := strings.Join(words[:min(len(words), 2)], " ")
		if i, again := at[v]; again && r.cfg.Guarantee == millrace.AtLeastOnce {
			values[i] = "" // if a record was written twice, the last one counts
		}
		at[v] = len(values)
		values = append(values, v)
	})
	var last []string
	for _, v := range values {
		if v != "" {
			last = append(last, v)
		}
	}
	return last
}

// outcomes counts calls of hooks.
type outcomes struct{ aborts, dropped atomic.Int64 }

func (o *outcomes) OnDropped(millrace.Dropped) { o.dropped.Add(1) }

func (o *outcomes) OnCommit(c millrace.Commit) {
	if c.Err != nil {
		o.aborts.Add(1)
	}
}

func goods(kind string, n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprint(kind, " good", i))
	}
	return values
}

// The policy gets exactly the records that Kafka refuses. All others are written, in
// order.
func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, action := range []processor.Action{processor.Skip, processor.DeadLetter, processor.Retry} {
			t.Run(fmt.Sprintf("%v %v", guarantee, action), func(t *testing.T) {
				t.Parallel()
				r := c.refusals(t, guarantee)
				met := make(chan string, 1000)
				r.cfg.Errors = processor.ErrorPolicy{Exhausted: processor.Skip, Retries: 1, DeadLetterTopic: r.dead, Handle: func(e *processor.Error) processor.Action {
					met <- strings.Join(strings.SplitN(string(e.Value), " ", 3)[:2], " ")
					return action
				}}
				const n = 30
				r.send(t, 1)
				stop, done := r.run(t)
				r.drain(t, done)
				r.tighten(t)
				r.send(t, n, refusalKinds...)
				r.drain(t, done)
				stop()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				for _, kind := range refusalKinds {
					want := append(goods(kind, 1), goods(kind, n)...)
					if guarantee == millrace.AtLeastOnce {
						want = want[1:]
					}
					if diff := cmp.Diff(want, r.values(t, r.out[kind])); diff != "" {
						t.Errorf("%s (-want +got)\n%s", kind, diff)
					}
				}
				close(met)
				times := map[string]int{}
				for v := range met {
					times[v]++
				}
				if len(times) != 3 || times["time bad"] == 0 || times["key bad"] == 0 || times["size bad"] == 0 {
					t.Errorf("the policy met %v", times)
				}
				if action == processor.DeadLetter {
					r.checkLetters(t)
				}
			})
		}
	}
}

// Kafka refuses 100 of 10,000 records. Wherever they are, this costs one or two aborts.
func TestHundredRefusedOfTenThousand(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			r, seen := c.refusals(t, guarantee), &outcomes{}
			r.cfg.Hooks = []millrace.Hook{seen}
			r.cfg.Errors = processor.ErrorPolicy{Produce: processor.DeadLetter, DeadLetterTopic: r.dead}
			stop, done := r.run(t)
			r.send(t, 1)
			r.drain(t, done)
			r.tighten(t)
			const n, refused = 10_000, 100
			records := make([]*kgo.Record, n)
			for i := range records {
				records[i] = &kgo.Record{Topic: r.in, Key: []byte("k"), Value: fmt.Append(nil, "key good", i+1)}
			}
			for _, i := range mathrand.Perm(n)[:refused] {
				records[i].Key = nil
			}
			want := goods("key", 1)
			for _, record := range records {
				if record.Key != nil {
					want = append(want, string(record.Value))
				}
			}
			begin := time.Now()
			r.produce(t, records)
			r.drain(t, done)
			t.Logf("%v, %d aborts", time.Since(begin), seen.aborts.Load())
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := r.values(t, r.out["key"]); !slices.Equal(got, want) {
				t.Errorf("%d values, want %d, in order", len(got), len(want))
			}
			if got := len(r.values(t, r.dead)); got != refused {
				t.Errorf("%d letters, want %d", got, refused)
			}
			if aborts, dropped := seen.aborts.Load(), seen.dropped.Load(); aborts > 2 || dropped != refused {
				t.Errorf("%d aborts, want 2 at most; %d records dropped, want %d", aborts, dropped, refused)
			}
		})
	}
}

// checkLetters checks the three dead letters. The dead letter topic does not accept the
// unchanged timestamp of the first one.
func (r *refusals) checkLetters(t *testing.T) {
	t.Helper()
	letters := map[string]bool{}
	r.c.committed(t, r.dead, func(record *kgo.Record) {
		said := map[string]string{}
		for _, h := range record.Headers {
			said[h.Key] = string(h.Value)
		}
		kind, _, _ := strings.Cut(string(record.Value), " ")
		letters[kind] = true
		if moved := said[processor.DeadLetterTimestamp] != ""; moved != (kind == "time") {
			t.Errorf("letter %s at %v has headers %v", kind, record.Timestamp, said)
		}
		if (record.Key == nil) != (kind == "key") {
			t.Errorf("letter %s has key %q", kind, record.Key)
		}
	})
	if len(letters) != 3 {
		t.Errorf("letters %v", letters)
	}
}

// Fail names exactly the record that Kafka refuses, and commits the records before it.
func TestFailAtTheRefusedRecord(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for i, code := range []error{kerr.InvalidTimestamp, kerr.InvalidRecord, kerr.RecordListTooLarge} {
			kind := refusalKinds[i]
			t.Run(fmt.Sprintf("%v %s", guarantee, kind), func(t *testing.T) {
				t.Parallel()
				r := c.refusals(t, guarantee)
				const n = 30
				r.send(t, 1)
				_, done := r.run(t)
				r.drain(t, done)
				r.tighten(t)
				r.send(t, n, kind)
				err := <-done
				var e *processor.Error
				bad := int64(len(refusalKinds) + i*n + n/2 + 1)
				// if the topic's configuration was read again before
				known := strings.Contains(fmt.Sprint(err), "segment.bytes=1048576")
				if !errors.As(err, &e) || !errors.Is(err, code) && !known || e.Topic != r.in || e.Offset != bad || e.Phase != processor.Produce {
					t.Fatalf("Run returned %v, want the refusal of record %d", err, bad)
				}
				offsets, err := r.c.admin(t).FetchOffsets(t.Context(), r.application)
				if err != nil {
					t.Fatal(err)
				}
				if at, _ := offsets.Lookup(r.in, 0); at.At != bad {
					t.Errorf("committed %d, want %d", at.At, bad)
				}
				got := r.values(t, r.out[kind])
				if want := goods(kind, n/2+1); len(got) < len(want) || !cmp.Equal(want, got[len(got)-len(want):]) {
					t.Errorf("got %v, want %v at the end", got, want)
				}
			})
		}
	}
}

// A record is larger than its topic accepts, but small enough when it is compressed. It
// is copied.
func TestRecordThatIsSmallWhenCompressed(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			r := c.refusals(t, guarantee)
			client := c.client(t, kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
			var want []string
			for i := range 5 {
				value := fmt.Sprint("time good", i)
				want = append(want, value)
				if i%2 == 1 {
					value += " " + strings.Repeat("x", 3<<20)
				}
				if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: r.in, Key: []byte("k"), Value: []byte(value)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			r.cfg.ClientOptions = []kgo.Opt{kgo.ProducerBatchCompression(kgo.ZstdCompression())}
			stop, done := r.run(t)
			r.drain(t, done)
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, r.values(t, r.out["time"])); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
