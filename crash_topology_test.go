package millrace

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// These are the topics of the crash tests. Inputs are "key/partition/number", numbered by
// partition from 0. All results depend on the records of the repartition topic, so the
// model reads that topic in order.
const (
	crashApp    = "crash"
	inTopic     = "in"
	repartition = crashApp + "-by-key-repartition"

	// combined is the topic of a count alone, for which tasks combine records.
	combined = crashApp + "-combined-repartition"

	countsTopic  = "counts"  // every update of a count
	foldsTopic   = "folds"   // every update of an aggregate that is changed in place
	mergedTopic  = "merged"  // a count per key and commit
	windowsTopic = "windows" // every update of a windowed count
	latestTopic  = "latest"  // a windowed count per row and commit
	totalsTopic  = "totals"  // a combined count per key and commit
	spansTopic   = "spans"   // what a processor with stream-time punctuators emits
	pairsTopic   = "pairs"   // an outer join of streams
	worthsTopic  = "worths"  // every update of an aggregate whose values are migrated
	ratesTopic   = "rates"   // such an aggregate of windows, per row and commit

	worthsChangelog = crashApp + "-worths-changelog"

	windowSize  = 10 * time.Second
	windowGrace = 5 * time.Second
	spanEvery   = 20 * time.Second
	pairWithin  = 10 * time.Second
	pairGrace   = 5 * time.Second
)

var outTopics = []string{
	countsTopic, foldsTopic, mergedTopic, windowsTopic, latestTopic, totalsTopic, spansTopic, pairsTopic, worthsTopic, ratesTopic,
}

// fold is an aggregate that its adder changes in place.
type fold struct{ n, hash int64 }

func (f *fold) add(value string) {
	f.n++
	for i := range len(value) {
		f.hash = f.hash*31 + int64(value[i])
	}
}

func (f *fold) String() string { return fmt.Sprintf("%d:%d", f.n, f.hash) }

// foldSerde keeps folds as text.
type foldSerde struct{}

func (foldSerde) Append(dst []byte, f *fold) ([]byte, error) { return append(dst, f.String()...), nil }

func (foldSerde) Decode(data []byte) (*fold, error) {
	n, hash, _ := strings.Cut(string(data), ":")
	var f fold
	var err error
	if f.n, err = strconv.ParseInt(n, 10, 64); err == nil {
		f.hash, err = strconv.ParseInt(hash, 10, 64)
	}
	return &f, err
}

// spans emits, every spanEvery of stream time, how many records its task has ever seen.
type spans struct{ records int64 }

const spansPosition = "records"

func (p *spans) Init(ctx processor.Context[string, string]) error {
	p.records, _ = ctx.Position(spansPosition)
	ctx.Every(spanEvery, processor.StreamTime, p.emit)
	return nil
}

func (p *spans) Process(ctx processor.Context[string, string], _ processor.Record[string, int64]) error {
	p.records++
	ctx.SetPosition(spansPosition, p.records)
	return nil
}

func (p *spans) emit(ctx processor.Context[string, string], now time.Time) error {
	key := strconv.Itoa(int(ctx.Task().Partition))
	ctx.Forward(processor.NewRecord(key, int64Text(p.records), processor.TimestampOf(now)))
	return nil
}

func keyOfInput(v string) string {
	key, _, _ := strings.Cut(v, "/")
	return key
}

func int64Text(n int64) string { return strconv.FormatInt(n, 10) }

func halfText(n float64) string { return strconv.FormatFloat(n, 'f', 1, 64) }

func half(n int64) float64 { return float64(n) / 2 }

// onTheRight reports whether an input is on the right side of the join: its number is
// odd.
func onTheRight(v string) bool { return strings.ContainsRune("13579", rune(v[len(v)-1])) }

// pair returns the result of the join, as package jointest writes it.
func pair(left string, lok bool, right string, rok bool) string {
	if !lok {
		left = "null"
	}
	if !rok {
		right = "null"
	}
	return left + "+" + right
}

// unwindow sends the rows of windows as "start=value".
func unwindow[V any](t topology.WindowedTable[string, V], text func(V) string) topology.Stream[string, string] {
	return topology.Map(t.Stream(), func(r processor.Record[serde.Windowed[string], V]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d=%s", r.Key.Window.Start, text(r.Value)), r.Timestamp)
	}, serde.String, serde.String)
}

// halves adds a half per record, and calls the sum "worths", and "rates" in windows. The
// first version of the program stores the number of halves, and migrated the sum. Both
// send the same texts.
func halves(g topology.Grouped[string, string], w topology.Windowed[string, string], migrated bool) {
	if !migrated {
		one := func(n int64, _ processor.Record[string, string]) int64 { return n + 1 }
		text := func(n int64) string { return halfText(half(n)) }
		none := func() int64 { return 0 }
		worths := topology.Aggregate(g, "worths", none, one, serde.Int64, topology.EveryUpdate())
		topology.MapValues(worths.Stream(), text, serde.String).To(worthsTopic)
		unwindow(topology.AggregateWindows(w, "rates", none, one, serde.Int64), text).To(ratesTopic)
		return
	}
	add := func(n float64, _ processor.Record[string, string]) float64 { return n + 0.5 }
	none := func() float64 { return 0 }
	worths := topology.Aggregate(g, "worths", none, add, serde.Float64, topology.EveryUpdate(), topology.Migrate(serde.Int64, half))
	topology.MapValues(worths.Stream(), halfText, serde.String).To(worthsTopic)
	unwindow(topology.AggregateWindows(w, "rates", none, add, serde.Float64, topology.Migrate(serde.Int64, half)), halfText).To(ratesTopic)
}

// crashTopology builds a version of the application; seen is called with every record, in
// user code.
func crashTopology(migrated bool, seen func()) (*topology.Topology, error) {
	b := topology.New()
	in := topology.Source(b, inTopic, serde.String, serde.String).Peek(func(string) { seen() })
	byKey := topology.SelectKey(in, func(r processor.Record[string, string]) string { return keyOfInput(r.Value) }, serde.String)
	keyed := topology.Repartition(byKey, "by-key")
	g := topology.GroupByKey(keyed, "grouped")

	counts := g.Count("counts", topology.EveryUpdate()).Stream()
	topology.MapValues(counts, int64Text, serde.String).To(countsTopic)
	topology.Process(counts, "spans", func() *spans { return &spans{} }, serde.String, serde.String).To(spansTopic)

	folds := topology.Aggregate(g, "folds", func() *fold { return &fold{} },
		func(f *fold, r processor.Record[string, string]) *fold { f.add(r.Value); return f }, serde.Serde[*fold](foldSerde{}), topology.EveryUpdate())
	topology.MapValues(folds.Stream(), (*fold).String, serde.String).To(foldsTopic)

	topology.MapValues(g.Count("merged").Stream(), int64Text, serde.String).To(mergedTopic)

	w := g.Window(topology.Tumbling(windowSize).Grace(windowGrace))
	unwindow(w.Count("windows", topology.EveryUpdate()), int64Text).To(windowsTopic)
	unwindow(w.Count("latest"), int64Text).To(latestTopic)
	halves(g, w, migrated)

	left, right := keyed.Filter(func(v string) bool { return !onTheRight(v) }), keyed.Filter(onTheRight)
	topology.OuterJoinWindow(left, right, "pairs", topology.Within(pairWithin).Grace(pairGrace), pair, serde.String).To(pairsTopic)

	totals := topology.GroupBy(in, "combined", keyOfInput, serde.String).Count("totals")
	topology.MapValues(totals.Stream(), int64Text, serde.String).To(totalsTopic)
	return b.Build()
}
