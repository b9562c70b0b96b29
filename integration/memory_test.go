package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// heavy is an input that is many times larger than what the application may hold.
type heavy struct {
	c          *cluster
	in         string
	partitions int32
	records    int
	value      int              // bytes of a value
	key        func(int) string // of the i-th record; nil: each record has its own
	state      int64            // Config.StateMemory
}

const (
	bufferMemory = 4 << 20

	// What comes on top of state and buffers: for each task with a store the buffers of
	// its database, and in all the clients and what they fetch ahead.
	perTask = 1 << 20
	slack   = 48 << 20
)

// The live heap stays within Config.StateMemory and Config.BufferMemory, plus a constant
// and a part for each task, although input and state are much larger. The test reads the
// heap of its own process, so it does not run in parallel with others.
func TestMemoryIsBounded(t *testing.T) {
	c := kafka(t)
	large := &heavy{c: c, in: name(t, "in"), partitions: 64, records: 200_000, value: 400, state: 32 << 20}
	large.fill(t)
	application := name(t, "app")
	c.cleanUp(t, application)
	t.Run("many keys", func(t *testing.T) { large.latest(t, application) })
	t.Run("restore", func(t *testing.T) { large.latest(t, application) })
	t.Run("slow sink", func(t *testing.T) { large.slowSink(t) })
	t.Run("slow broker", func(t *testing.T) { large.slowBroker(t) })
	for what, h := range map[string]*heavy{
		"hot key":        {partitions: 64, records: 100_000, value: 400, state: 32 << 20, key: func(int) string { return "hot" }},
		"256 partitions": {partitions: 256, records: 50_000, value: 400, state: 32 << 20},
		"small rows":     {partitions: 4, records: smallRows(), value: 8, state: 16 << 20},
	} {
		t.Run(what, func(t *testing.T) {
			h.c, h.in = c, name(t, "in")
			h.fill(t)
			application := h.in + "-app"
			c.cleanUp(t, application)
			h.latest(t, application)
		})
	}
}

// smallRows returns how many small rows the state has. Decoded, they take many times
// Config.StateMemory.
func smallRows() int {
	if fullTorture() {
		return 10_000_000
	}
	return 600_000
}

func (h *heavy) keyOf(i int) string {
	if h.key != nil {
		return h.key(i)
	}
	return fmt.Sprintf("key-%08d", i)
}

func (h *heavy) fill(t *testing.T) {
	h.c.createTopic(t, h.in, h.partitions)
	client := h.c.client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	random := rand.NewChaCha8([32]byte{})
	for i := range h.records {
		value := make([]byte, h.value) // which no compression makes smaller
		_, _ = random.Read(value)
		if i == h.records-1 {
			value = []byte("last")
		}
		client.Produce(t.Context(), &kgo.Record{Topic: h.in, Key: []byte(h.keyOf(i)), Value: value}, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// latest keeps the latest value of each key, from an empty directory.
func (h *heavy) latest(t *testing.T, application string) {
	b := topology.New()
	in := topology.Source(b, h.in, serde.String, serde.Bytes)
	latest := in.ToTable("latest")
	h.run(t, b, application, func(app *millrace.App) bool {
		if value, ok, err := millrace.Get(t.Context(), app, latest, h.keyOf(h.records-1)); !ok || err != nil || string(value) != "last" {
			return false
		}
		found := 0
		for i := range 100 { // the keys at the end of the input
			if _, ok, err := millrace.Get(t.Context(), app, latest, h.keyOf(h.records-1-i)); ok && err == nil {
				found++
			}
		}
		return found == 100
	})
}

// slowSink waits in a sink until the buffers are full.
func (h *heavy) slowSink(t *testing.T) {
	goOn := make(chan struct{})
	b := topology.New()
	in := topology.Source(b, h.in, serde.String, serde.Bytes)
	in.ForEach(func(processor.Record[string, []byte]) error { <-goOn; return nil })
	application := h.in + "-slow-sink"
	h.c.cleanUp(t, application)
	h.run(t, b, application, whenFull(func() { close(goOn) }))
}

// slowBroker has a broker that takes the application's output at a hundredth of the rate
// at which it gives the input.
func (h *heavy) slowBroker(t *testing.T) {
	application := h.in + "-slow-broker"
	h.c.cleanUp(t, application)
	h.c.createTopic(t, h.in+"-copy", h.partitions)
	h.c.quota(t, application, 500_000)
	b := topology.New()
	topology.Source(b, h.in, serde.String, serde.Bytes).To(h.in + "-copy")
	h.run(t, b, application, whenFull(func() { h.c.quota(t, application, 1<<30) }))
}

// quota sets how many bytes a second the broker takes from an application.
func (c *cluster) quota(t *testing.T, application string, rate float64) {
	t.Helper()
	id := application
	entries := []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &id}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: rate}},
	}}
	altered, err := c.admin(t).AlterClientQuotas(t.Context(), entries)
	if err == nil {
		for _, a := range altered {
			err = errors.Join(err, a.Err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// whenFull returns a condition that is met when the application's input buffers have been
// full for some time. It then calls goOn.
func whenFull(goOn func()) func(*millrace.App) bool {
	full := 0
	return func(app *millrace.App) bool {
		if app.Snapshot().BufferedBytes >= bufferMemory {
			full++
		}
		switch full {
		case 20: // the client has fetched ahead meanwhile
			runtime.GC() // nothing else makes garbage now
		case 21:
			goOn()
		}
		return full == 21
	}
}

// run runs the topology until done, and checks the heap meanwhile.
func (h *heavy) run(t *testing.T, b *topology.Builder, application string, done func(*millrace.App) bool) {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(topo, millrace.Config{
		ApplicationID: application, Brokers: []string{h.c.brokers}, StateDir: t.TempDir(), StateMemory: h.state, BufferMemory: bufferMemory,
		Workers: 2, SessionTimeout: 6 * time.Second, CloseTimeout: patience, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // the live heap is then known often
	runtime.GC()
	before := liveHeap()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	most := uint64(0)
	for deadline := time.Now().Add(patience); !done(app); pause(20 * time.Millisecond) {
		most = max(most, liveHeap())
		if time.Now().After(deadline) {
			t.Error("the application has not caught up in time")
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	used, bound := int64(most)-int64(before), h.state+bufferMemory+int64(h.partitions)*perTask+slack
	t.Logf("the live heap had up to %d MiB more than before, of %d MiB that it may have", used>>20, bound>>20)
	if used > bound {
		t.Errorf("the live heap had %d bytes more than before: the bound is %d", used, bound)
	}
}

// liveHeap returns the bytes that the latest collection has found alive.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
