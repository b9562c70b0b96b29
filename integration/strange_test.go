package integration

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// Records leave the application as they came: of all codecs, of committed transactions,
// without keys and values and with empty ones, with thousands of headers, and of 10 MB.
// Records of aborted transactions do not come.
func TestStrangeRecords(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	in, out, application := name(t, "in"), name(t, "out"), name(t, "app")
	c.createTopicWith(t, in, 1, map[string]string{"max.message.bytes": "16000000", "message.timestamp.type": "LogAppendTime"})
	c.createTopicWith(t, out, 1, map[string]string{"max.message.bytes": "16000000"})
	c.cleanUp(t, application)

	sent := 0
	send := func(client *kgo.Client, n int, change func(*kgo.Record)) {
		t.Helper()
		for range n {
			sent++
			r := &kgo.Record{Topic: in, Key: fmt.Append(nil, "k", sent), Value: fmt.Append(nil, "v", sent), Timestamp: time.UnixMilli(int64(sent))}
			if change != nil {
				change(r)
			}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		send(c.client(t, kgo.ProducerBatchCompression(codec)), 20, nil)
	}
	writer := c.client(t, kgo.TransactionalID(application+"-writer"))
	for i, try := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(writer, 5+i, nil)
		if err := writer.EndTransaction(t.Context(), try); err != nil {
			t.Fatal(err)
		}
	}
	big := c.client(t, kgo.ProducerBatchMaxBytes(16_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	random := make([]byte, 10_000_000)
	_, _ = rand.Read(random)
	for _, change := range []func(*kgo.Record){
		func(r *kgo.Record) { r.Key = nil },
		func(r *kgo.Record) { r.Key = []byte{} },
		func(r *kgo.Record) { r.Value = nil },
		func(r *kgo.Record) { r.Value = []byte{} },
		func(r *kgo.Record) { r.Key, r.Value = nil, nil },
		func(r *kgo.Record) {
			for i := range 5000 {
				h := kgo.RecordHeader{Key: fmt.Sprint(i % 7)}
				if i%3 > 0 {
					h.Value = bytes.Repeat([]byte{byte(i)}, i%3-1)
				}
				r.Headers = append(r.Headers, h)
			}
		},
		func(r *kgo.Record) { r.Value = random },
		func(r *kgo.Record) { r.Key, r.Value = random[:5_000_000], random[:5_000_000] },
		func(r *kgo.Record) { r.Value = make([]byte, 10_000_000) },
	} {
		send(big, 1, change)
	}
	send(big, 20, nil)

	b := topology.New()
	topology.Source(b, in, serde.Bytes, serde.Bytes).To(out)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(topo, millrace.Config{
		ApplicationID: application, Brokers: []string{c.brokers}, StateDir: t.TempDir(), BufferMemory: 1 << 20,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.finish(t, app, application, in); err != nil {
		t.Errorf("Run: %v", err)
	}
	var want, got []*kgo.Record
	c.committed(t, in, func(r *kgo.Record) { want = append(want, r) })
	c.committed(t, out, func(r *kgo.Record) { got = append(got, r) })
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if !sameBytes(g.Key, w.Key) || !sameBytes(g.Value, w.Value) || !g.Timestamp.Equal(w.Timestamp) || len(g.Headers) != len(w.Headers) {
			t.Fatalf("record %d, with the key %.20q and %d bytes, became one with the key %.20q and %d bytes", i, w.Key, len(w.Value), g.Key, len(g.Value))
		}
		for j := range w.Headers {
			if g.Headers[j].Key != w.Headers[j].Key || !sameBytes(g.Headers[j].Value, w.Headers[j].Value) {
				t.Fatalf("record %d: header %d is %v, want %v", i, j, g.Headers[j], w.Headers[j])
			}
		}
	}
}

func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
