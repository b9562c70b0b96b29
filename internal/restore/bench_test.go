package restore

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// BenchmarkRestore reads a changelog of four partitions from its begin to its end. The
// figures are for one restore; the rate is in bytes of keys and values.
func BenchmarkRestore(b *testing.B) {
	const partitions, rows = 4, 20_000
	c := kafkatest.New(b, kfake.SeedTopics(partitions, changelog))
	producer, err := kgo.NewClient(append(c.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		b.Fatal(err)
	}
	defer producer.Close()
	size := 0
	for i := range rows {
		r := &kgo.Record{Topic: changelog, Partition: int32(i % partitions), Key: fmt.Appendf(nil, "key-%08d", i), Value: make([]byte, 8)}
		size += len(r.Key) + len(r.Value)
		producer.Produce(background, r, nil)
	}
	if err := producer.Flush(background); err != nil {
		b.Fatal(err)
	}
	r, err := New(Config{Opts: c.Options()})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var parts []Partition
	for p := range int32(partitions) {
		parts = append(parts, Partition{Topic: changelog, Partition: p})
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		restored := 0
		sink := func(_ int, records []*kgo.Record, _ int64) error { restored += len(records); return nil }
		done := func(_ int, _ int64, err error) {
			if err != nil {
				b.Error(err)
			}
		}
		if err := r.Restore(background, parts, sink, done, nil); err != nil || restored != rows {
			b.Fatalf("%d rows (%v), want %d", restored, err, rows)
		}
	}
}
