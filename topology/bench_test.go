package topology

import (
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// benchmarkInput sends records of a thousand keys. Stores are not flushed, so the
// benchmark measures only the way of a record through the nodes.
func benchmarkInput(b *testing.B, build func(s Stream[string, int64]), opts ...graphtest.Option) {
	builder := New()
	build(Source(builder, "in", serde.String, serde.Int64))
	f := run(b, builder, opts...)
	f.Discard = true
	source := f.Sources["in"]
	inputs := make([]graph.Input, 1000)
	for i := range inputs {
		key, _ := serde.Encode(serde.String, string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)))
		value, _ := serde.Encode(serde.Int64, int64(i))
		inputs[i] = graph.Input{Topic: "in", Key: key, Value: value, Timestamp: 1}
		if err := source.Receive(&inputs[i]); err != nil {
			b.Fatal(err)
		}
	}
	f.Current = &inputs[0]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := source.Receive(&inputs[i%len(inputs)]); err != nil {
			b.Fatal(err)
		}
	}
}

func even(n int64) bool    { return n%2 == 0 }
func double(n int64) int64 { return 2 * n }

// The string key of each record is the only allocation in these benchmarks. It depends on
// the serde.

func BenchmarkCount(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) {
		GroupByKey(MapValues(s.FilterNot(func(int64) bool { return false }), double, serde.Int64), "by-key").Count("n")
	})
}

func BenchmarkFilterMapValues(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) { MapValues(s.Filter(even), double, serde.Int64).ForEach(ignore) })
}

func BenchmarkHops(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) {
		for range 10 {
			s = MapValues(s, double, serde.Int64)
		}
	})
}

func BenchmarkFanOut(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) {
		for range 4 {
			s.Filter(even)
		}
	})
}

func BenchmarkSink(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) { s.To("out") })
}

func BenchmarkHopping(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) {
		GroupByKey(s, "by-key").Window(Hopping(ms(12), ms(1))).Count("n")
	})
}

// BenchmarkSessions lets the sessions of a thousand keys grow.
func BenchmarkSessions(b *testing.B) {
	benchmarkOverTime(b, 1, func(by Grouped[int64, int64]) { by.Sessions(ms(5000)).Count("n") })
}

// BenchmarkSliding has ten records of a key in each window.
func BenchmarkSliding(b *testing.B) {
	benchmarkOverTime(b, 6, func(by Grouped[int64, int64]) { by.Window(Sliding(ms(60_000)).Grace(ms(10_000))).Count("n") })
}

// BenchmarkTumbling has ten records of a key in each window.
func BenchmarkTumbling(b *testing.B) {
	benchmarkOverTime(b, 1, func(by Grouped[int64, int64]) { tens(by).Stream().ForEach(ignoreWindow) })
}

// BenchmarkTTL lets each row expire before its next record.
func BenchmarkTTL(b *testing.B) {
	benchmarkOverTime(b, 1, func(by Grouped[int64, int64]) { by.Count("n", TTL(ms(990))).Stream().ForEach(ignoreNumber) })
}

// BenchmarkWithoutTTL is BenchmarkTTL of rows that never expire.
func BenchmarkWithoutTTL(b *testing.B) {
	benchmarkOverTime(b, 1, func(by Grouped[int64, int64]) { by.Count("n").Stream().ForEach(ignoreNumber) })
}

func ignoreNumber(numbers) error { return nil }

// BenchmarkFinal sends the rows of closed windows only.
func BenchmarkFinal(b *testing.B) {
	benchmarkOverTime(b, 1, func(by Grouped[int64, int64]) { tens(by).Final().Stream().ForEach(ignoreWindow) })
}

// BenchmarkSuppress holds the rows back until their windows are closed.
func BenchmarkSuppress(b *testing.B) {
	benchmarkOverTime(b, 1, func(by Grouped[int64, int64]) {
		tens(by).Suppress("last", UntilClosed()).Stream().ForEach(ignoreWindow)
	})
}

// tens counts in windows that hold ten records of each key.
func tens(by Grouped[int64, int64]) WindowedTable[int64, int64] {
	return by.Window(Tumbling(ms(10_000))).Count("n")
}

func ignoreWindow(processor.Record[serde.Windowed[int64], int64]) error { return nil }

// benchmarkOverTime sends records of a thousand keys in turns, step ms apart, with a
// commit every ten thousand records.
func benchmarkOverTime(b *testing.B, step int, aggregate func(by Grouped[int64, int64])) {
	builder := New()
	aggregate(GroupByKey(Source(builder, "in", serde.Int64, serde.Int64), "by-key"))
	f := run(b, builder)
	f.Discard = true
	source := f.Sources["in"]
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i], _ = serde.Encode(serde.Int64, int64(i))
	}
	in := graph.Input{Topic: "in", Value: keys[0]}
	f.Current = &in
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in.Key, in.Timestamp = keys[i%len(keys)], processor.Timestamp(i*step)
		f.Stores.SetNow(int64(in.Timestamp))
		if err := source.Receive(&in); err != nil {
			b.Fatal(err)
		}
		if i%10_000 == 0 {
			f.Commit()
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) {
		Join(s, s.ToTable("rows"), func(a, b int64) int64 { return a + b }, serde.Int64).ForEach(ignore)
	})
}

func BenchmarkJoinTables(b *testing.B) {
	benchmarkInput(b, func(s Stream[string, int64]) {
		sum := func(a, b int64) int64 { return a + b }
		JoinTables(s.ToTable("left"), s.Filter(even).ToTable("right"), sum, serde.Int64).Stream().ForEach(ignore)
	}, graphtest.WithEveryUpdate())
}

// TestNoAllocations checks that a hop allocates nothing. The key needs no allocation
// either, so there must be none at all.
func TestNoAllocations(t *testing.T) {
	builder := New()
	s := Source(builder, "in", serde.Int64, serde.Int64)
	counted := MapValues(s.Filter(func(int64) bool { return true }), double, serde.Int64).FilterRecord(func(numbers) (bool, error) { return true, nil })
	GroupByKey(counted, "by-key").Count("n")
	GroupByKey(counted, "by-key-2").Window(Hopping(ms(10), ms(5))).Reduce("w", func(a, b int64) int64 { return a + b })
	Process(counted.Branch("way", Default[int64]("all"))[0].Merge(s), "p", func() *forwarder { return &forwarder{} }, serde.Int64, serde.Int64).Peek(func(int64) {})
	rows := counted.ToTable("rows")
	Join(counted, MapTable(rows.Filter(even), double, serde.Int64), func(a, b int64) int64 { return a + b }, serde.Int64)
	FlatMapValues(counted, func(int64) []int64 { return nil }, serde.Int64)
	SelectKey(counted, func(r numbers) int64 { return r.Value }, serde.Int64)
	f := run(t, builder)
	data, _ := serde.Encode(serde.Int64, 7)
	in := graph.Input{Topic: "in", Key: data, Value: data, Timestamp: 1}
	f.Current = &in
	n := testing.AllocsPerRun(1000, func() {
		if err := f.Sources["in"].Receive(&in); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per record", n)
	}
}

type numbers = processor.Record[int64, int64]

type forwarder struct{}

func (*forwarder) Init(processor.Context[int64, int64]) error { return nil }
func (*forwarder) Process(c processor.Context[int64, int64], r numbers) error {
	c.Forward(r)
	return nil
}

func ignore(processor.Record[string, int64]) error { return nil }
