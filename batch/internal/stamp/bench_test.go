package stamp

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// BenchmarkStamp measures a record in its stamping task: a filter, Count, and
// CountByValue with 1000 values, with a commit for each 10000 records.
func BenchmarkStamp(b *testing.B) {
	root := &Node[string, string]{}
	Combine(root, Combining[string, string, struct{}, int64]{
		Name: func() string { return "n" }, Keys: none{}, Values: serde.Int64,
		KeyOf: func(*processor.Record[string, string]) (key struct{}, dropped string) { return key, "" },
		Fold:  func(n int64, _ bool, _ *processor.Record[string, string]) int64 { return n + 1 },
	})
	filtered := Attach(root, func(next Receive[string, string]) Receive[string, string] {
		return func(r *processor.Record[string, string]) error {
			if r.Value == "" {
				return nil
			}
			return next(r)
		}
	})
	countValues(filtered, "v")
	s := New(Config{Every: "every", Interval: 1000}, root)
	host := &fakeHost{now: time.UnixMilli(1_000_000), positions: map[string]int64{}, task: processor.Task{Partitions: 1}}
	ctx := host.host()
	if err := s.Init(ctx); err != nil {
		b.Fatal(err)
	}
	var values [1000]string
	for i := range values {
		values[i] = fmt.Sprint("author", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.Process(ctx, processor.NewRecord("k", values[i%len(values)], 1)); err != nil {
			b.Fatal(err)
		}
		if i%10_000 == 0 {
			if err := s.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			host.forwarded, host.keys = host.forwarded[:0], host.keys[:0]
		}
	}
}

// none is the serde of the key of a count of all records.
type none struct{}

func (none) Append(dst []byte, _ struct{}) ([]byte, error) { return append(dst, 0), nil }
func (none) Decode([]byte) (struct{}, error)               { return struct{}{}, nil }
