package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

const day = 24 * time.Hour

// The driver ends the input with a record of the key flush in each partition, far in the
// future. It closes the windows of all other keys. Nothing of it is sent on.
const flush = "flush"

// end is a value that no record of the driver has. Kafka's topology drops it.
const end = math.MaxInt32

// smokeTopology builds the topology. The name of each topic begins with prefix.
func smokeTopology(prefix string) *topology.Builder {
	b := topology.New()
	source := topology.Source(b, prefix+"data", serde.String, serde.Int32)
	withoutFlush(source).To(prefix + "echo")
	data := source.Filter(func(v int32) bool { return v != end })
	count(data, "data")
	byKey := topology.GroupByKey(data, "by-key")

	smallest(byKey, prefix)
	sums(byKey, prefix)

	largest := topology.AggregateWindows(byKey.Window(topology.Tumbling(2*day)), "uwin-max", func() int32 { return math.MinInt32 },
		func(a int32, r processor.Record[string, int32]) int32 { return max(a, r.Value) }, serde.Int32)
	withoutFlush(unwindow(largest.Stream())).To(prefix + "max")
	total := topology.AggregateWindows(byKey.Window(topology.Tumbling(2*day)), "win-sum", func() int64 { return 0 },
		func(a int64, r processor.Record[string, int32]) int64 { return a + int64(r.Value) }, serde.Int64)
	withoutFlush(unwindow(total.Stream())).To(prefix + "sum")
	withoutFlush(unwindow(byKey.Window(topology.Tumbling(2 * day)).Count("uwin-cnt").Stream())).To(prefix + "cnt")

	tables(b, prefix)
	return b
}

// smallest sends the minimum of each key: with its day, once for each day, and without
// the day.
func smallest(byKey topology.Grouped[string, int32], prefix string) {
	byDay := topology.AggregateWindows(byKey.Window(topology.Tumbling(day).Grace(time.Minute)), "uwin-min", func() int32 { return math.MaxInt32 },
		func(a int32, r processor.Record[string, int32]) int32 { return min(a, r.Value) }, serde.Int32, topology.Retention(25*time.Hour))
	text(byDay.Stream()).To(prefix + "min-raw")
	text(byDay.Suppress("min-closed", topology.UntilClosed()).Stream()).To(prefix + "min-suppressed")
	withoutFlush(unwindow(byDay.Stream())).To(prefix + "min")
}

// sums sends the sum of each key in each small window: all updates, and once for each
// window.
func sums(byKey topology.Grouped[string, int32], prefix string) {
	small := topology.Hopping(2*time.Second, time.Second).Grace(30 * time.Second)
	sum := byKey.Window(small).Reduce("sws", func(a, b int32) int32 { return a + b })
	text(sum.Stream()).To(prefix + "sws-raw")
	text(sum.Suppress("sws-closed", topology.UntilClosed()).Stream()).To(prefix + "sws-suppressed")
}

// tables reads results as tables, and joins and groups them.
func tables(b *topology.Builder, prefix string) {
	low := topology.SourceTable(b, prefix+"min", serde.String, serde.Int32)
	high := topology.SourceTable(b, prefix+"max", serde.String, serde.Int32)
	total := topology.SourceTable(b, prefix+"sum", serde.String, serde.Int64)
	number := topology.SourceTable(b, prefix+"cnt", serde.String, serde.Int64)
	count(low.Stream(), "min")
	count(high.Stream(), "max")
	count(total.Stream(), "sum")
	count(number.Stream(), "cnt")

	difference := topology.JoinTables(high, low, func(high, low int32) int32 { return high - low }, serde.Int32)
	withoutFlush(difference.Stream()).To(prefix + "dif")
	average := topology.JoinTables(total, number, func(total, n int64) float64 { return float64(total) / float64(n) }, serde.Float64)
	withoutFlush(average.Stream()).To(prefix + "avg")

	// A row whose group is empty stays, with 0: the driver expects no deletions.
	byCount := topology.GroupTable(number, "by-count", func(n int64) string { return strconv.FormatInt(n, 10) }, serde.String)
	one := func(by int64) func(int64, processor.Record[string, int64]) int64 {
		return func(a int64, _ processor.Record[string, int64]) int64 { return a + by }
	}
	topology.AggregateTable(byCount, "cntByCnt", func() int64 { return 0 }, one(1), one(-1), serde.Int64, topology.InMemory()).
		Stream().To(prefix + "tagg")
}

// withoutFlush drops the records of the key flush.
func withoutFlush[V any](s topology.Stream[string, V]) topology.Stream[string, V] {
	return s.FilterRecord(func(r processor.Record[string, V]) (bool, error) { return r.Key != flush, nil })
}

// unwindow drops the windows of keys.
func unwindow[V any](s topology.Stream[serde.Windowed[string], V]) topology.Stream[string, V] {
	return topology.SelectKey(s, func(r processor.Record[serde.Windowed[string], V]) string { return r.Key.Key }, serde.String)
}

// text writes windowed keys as Java's Windowed.toString does.
func text(s topology.Stream[serde.Windowed[string], int32]) topology.Stream[string, int32] {
	kept := s.FilterRecord(func(r processor.Record[serde.Windowed[string], int32]) (bool, error) { return r.Key.Key != flush, nil })
	return topology.SelectKey(kept, func(r processor.Record[serde.Windowed[string], int32]) string {
		return fmt.Sprintf("[%s@%d/%d]", r.Key.Key, r.Key.Window.Start, r.Key.Window.End)
	}, serde.String)
}
