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

	windowSize  = 10 * time.Second
	windowGrace = 5 * time.Second
	spanEvery   = 20 * time.Second
)

var outTopics = []string{countsTopic, foldsTopic, mergedTopic, windowsTopic, latestTopic, totalsTopic, spansTopic}

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

// crashTopology builds the application; seen is called with every record, in user code.
func crashTopology(seen func()) (*topology.Topology, error) {
	b := topology.New()
	in := topology.Source(b, inTopic, serde.String, serde.String).Peek(func(string) { seen() })
	g := topology.GroupBy(in, "by-key", keyOfInput, serde.String)

	counts := g.Count("counts", topology.EveryUpdate()).Stream()
	topology.MapValues(counts, int64Text, serde.String).To(countsTopic)
	topology.Process(counts, "spans", func() *spans { return &spans{} }, serde.String, serde.String).To(spansTopic)

	folds := topology.Aggregate(g, "folds", func() *fold { return &fold{} },
		func(f *fold, r processor.Record[string, string]) *fold { f.add(r.Value); return f }, serde.Serde[*fold](foldSerde{}), topology.EveryUpdate())
	topology.MapValues(folds.Stream(), (*fold).String, serde.String).To(foldsTopic)

	topology.MapValues(g.Count("merged").Stream(), int64Text, serde.String).To(mergedTopic)

	w := g.Window(topology.Tumbling(windowSize).Grace(windowGrace))
	unwindow := func(t topology.WindowedTable[string, int64]) topology.Stream[string, string] {
		return topology.Map(t.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
			return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d=%d", r.Key.Window.Start, r.Value), r.Timestamp)
		}, serde.String, serde.String)
	}
	unwindow(w.Count("windows", topology.EveryUpdate())).To(windowsTopic)
	unwindow(w.Count("latest")).To(latestTopic)

	totals := topology.GroupBy(in, "combined", keyOfInput, serde.String).Count("totals")
	topology.MapValues(totals.Stream(), int64Text, serde.String).To(totalsTopic)
	return b.Build()
}
