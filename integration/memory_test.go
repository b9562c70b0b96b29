package integration

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// heavy is an input that is many times larger than what the application may hold.
type heavy struct {
	c           *cluster
	application string
	in          string
}

// What the input has, and what the application may hold.
const (
	heavyPartitions = 64
	heavyRecords    = 200_000 // each with a key of its own
	heavyValue      = 400     // bytes
	stateMemory     = 32 << 20
	bufferMemory    = 4 << 20

	// What comes on top: for each task with a store the buffers of its database, and in
	// all the clients and what they fetch ahead.
	perTask = 1 << 20
	slack   = 48 << 20
)

// The live heap stays within Config.StateMemory and Config.BufferMemory, plus a constant
// and a part for each task, although input and state are much larger. The test reads the
// heap of its own process, so it does not run in parallel with others.
func TestMemoryIsBounded(t *testing.T) {
	h := &heavy{c: kafka(t), application: name(t, "app"), in: name(t, "in")}
	h.c.createTopic(t, h.in, heavyPartitions)
	h.c.cleanUp(t, h.application)
	h.fill(t)
	t.Run("many keys", func(t *testing.T) { h.latest(t) })
	t.Run("restore", func(t *testing.T) { h.latest(t) })
	t.Run("slow sink", func(t *testing.T) { h.slowSink(t) })
}

func (h *heavy) fill(t *testing.T) {
	client := h.c.client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	random := rand.NewChaCha8([32]byte{})
	for i := range heavyRecords {
		value := make([]byte, heavyValue) // which no compression makes smaller
		_, _ = random.Read(value)
		client.Produce(t.Context(), &kgo.Record{Topic: h.in, Key: fmt.Appendf(nil, "key-%08d", i), Value: value}, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// latest keeps the latest value of each key, from an empty directory.
func (h *heavy) latest(t *testing.T) {
	b := topology.New()
	in := topology.Source(b, h.in, serde.String, serde.Bytes)
	latest := in.ToTable("latest")
	h.run(t, b, h.application, func(app *millrace.App) bool {
		found := 0
		for i := range 100 { // the keys at the end of the input
			if _, ok, err := millrace.Get(t.Context(), app, latest, fmt.Sprintf("key-%08d", heavyRecords-1-i)); ok && err == nil {
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
	application := h.application + "-slow"
	h.c.cleanUp(t, application)
	full := 0
	h.run(t, b, application, func(app *millrace.App) bool {
		if app.Snapshot().BufferedBytes >= bufferMemory {
			full++
		}
		switch full {
		case 20: // the client has fetched ahead meanwhile
			runtime.GC() // nothing else makes garbage now
		case 21:
			close(goOn)
		}
		return full == 21
	})
}

// run runs the topology until done, and checks the heap meanwhile.
func (h *heavy) run(t *testing.T, b *topology.Builder, application string, done func(*millrace.App) bool) {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(topo, millrace.Config{
		ApplicationID: application, Brokers: []string{h.c.brokers}, StateDir: t.TempDir(), StateMemory: stateMemory, BufferMemory: bufferMemory,
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
	used, bound := int64(most)-int64(before), int64(stateMemory+bufferMemory+heavyPartitions*perTask+slack)
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
