package batch_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// A soak: MILLRACE_SEEDS=1000 go test ./batch -run TestAnyHistory, or
// MILLRACE_SEEDS=1000-1002 with -batch.steps 20000
var steps = flag.Int("batch.steps", 150, "how many steps each seed of the property test has; about twelve make a batch")

// TestAnyHistory runs random records, steps of the clock, commits, crashes and restarts,
// and compares the results with a naive model.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 40, func(t *testing.T, seed uint64) { newHistory(t, seed).run() })
}

const (
	interval = 5 * time.Second
	panes    = 3 // of the windows
	longer   = 5 // of another one
)

type history struct {
	t       *testing.T
	r       *rand.Rand
	d       *topologytest.Driver
	in      *topologytest.InputTopic[string, string]
	parts   int32
	printed bytes.Buffer
	calls   map[int64]int64 // by batch: the rows of Count that ForEach got

	armed [4]bool // which functions fail next, once; see fails

	sent  map[string]int64           // by value
	exact bool                       // each record is committed at once
	model map[int64]map[string]int64 // by batch and value, if exact
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 1)), calls: map[int64]int64{}, sent: map[string]int64{}, model: map[int64]map[string]int64{}}
	h.parts = 1 + h.r.Int32N(4)
	b := topology.New()
	h.build(b)
	batch.SetChunk(b, []int{1, 2, 5, 1000}[h.r.IntN(4)])
	commit := []time.Duration{0, 0, 100 * time.Millisecond, time.Second, 4 * time.Second}[h.r.IntN(5)]
	h.exact = commit == 0
	h.d = topologytest.New(t, build(t, b), topologytest.Partitions("in", h.parts), topologytest.Partitions("rows", 3),
		topologytest.CommitInterval(commit), topologytest.Workers(1+h.r.IntN(3)), topologytest.Start(time.UnixMilli(1_000_002_345)))
	h.in = topologytest.Input(h.d, "in", serde.String, serde.String)
	return h
}

func (h *history) build(b *topology.Builder) {
	in := topology.Source(b, "in", serde.String, serde.String)
	var opts []batch.EveryOption
	if h.r.IntN(2) == 0 {
		opts = append(opts, batch.Partitions(1+h.r.Int32N(5)))
	}
	topology.Process(in, "failing", func() *failing { return &failing{h} }, serde.String, serde.String)
	every := batch.Every(in, "every", interval, opts...)

	n := every.Count("n")
	n.Print(&h.printed)
	n.To("n")
	n.Window(panes * interval).To("n-window")
	n.ForEach(func(b batch.Batch, rows []batch.Row[batch.Total, int64]) error {
		if err := h.fails(inForEach); err != nil {
			return err
		}
		if len(rows) != 1 {
			h.t.Errorf("batch %v: Count has %d rows", b, len(rows))
		}
		if before, ok := h.calls[b.End.UnixMilli()]; ok && before != rows[0].Value {
			h.t.Errorf("batch %v: ForEach was called with %d, and then with %d", b, before, rows[0].Value)
		}
		h.calls[b.End.UnixMilli()] = rows[0].Value
		return nil
	})

	byValue := batch.CountByValue(every, "by-value")
	byValue.To("rows")
	byValue.Top(2).Print(&h.printed)
	byValue.Top(2).Named("best").To("top")
	byValue.Window(panes * interval).To("window")
	byValue.Window(longer * interval).To("longer")
	byValue.SortBy(func(a, b batch.Row[string, int64]) int { return cmp.Compare(b.Key, a.Key) }).To("sorted")
	byValue.Filter(func(r batch.Row[string, int64]) bool {
		if err := h.fails(inFilter); err != nil {
			panic(err)
		}
		return r.Value > 1
	}).To("several")

	length := func(r processor.Record[string, string]) processor.Record[string, int64] {
		return processor.NewRecord(r.Value, int64(len(r.Value)), r.Timestamp)
	}
	sums := batch.ReduceByKey(batch.Map(every, length, serde.String, serde.Int64), "sums", func(a, b int64) int64 { return a + b })
	sums.Window(panes * interval).To("sums-window") // without an inverse
}

// The functions that can fail.
const (
	inProcess = iota
	inFlush
	inForEach
	inFilter
)

var errArmed = errors.New("armed")

func (h *history) fails(where int) error {
	if h.armed[where] && h.r.IntN(2) == 0 {
		h.armed[where] = false
		return errArmed
	}
	return nil
}

// failing is a processor beside the stamping task's operator. It fails if it is armed.
type failing struct{ h *history }

func (f *failing) Init(processor.Context[string, string]) error { return nil }

func (f *failing) Process(processor.Context[string, string], processor.Record[string, string]) error {
	return f.h.fails(inProcess)
}

func (f *failing) Flush(processor.Context[string, string]) error { return f.h.fails(inFlush) }

func (h *history) run() {
	for range *steps {
		if h.r.IntN(10) == 0 {
			h.armed[h.r.IntN(len(h.armed))] = true
		}
		for err := h.d.Try(h.step); err != nil; err = h.d.Try(h.d.Restart) {
			if !errors.Is(err, errArmed) {
				h.t.Fatal(err)
			}
		}
	}
	h.armed = [4]bool{}
	h.d.Advance(5 * interval)
	// If chunks are small, closing a batch takes a while.
	h.d.Advance(interval/2 - time.Duration(h.d.Now().UnixNano())%interval + interval)
	h.d.Commit()
	h.check()
}

func (h *history) step() {
	switch n := h.r.IntN(100); {
	case n < 60:
		h.send()
	case n < 80:
		h.d.Advance(time.Duration(h.r.IntN(3000)) * time.Millisecond)
	case n < 83:
		h.d.Advance(time.Duration(h.r.IntN(8000)) * time.Millisecond)
	case n < 86:
		h.d.Commit()
	case n < 98:
		h.crash()
	default:
		h.d.Restart()
	}
}

func (h *history) send() {
	value := strings.Repeat(string(rune('a'+h.r.IntN(6))), h.r.IntN(4)) // also ""
	h.in.SendTo(h.r.Int32N(h.parts), processor.NewRecord(strconv.Itoa(h.r.IntN(10)), value, processor.TimestampOf(h.d.Now())))
	h.sent[value]++
	end := h.d.Now().UnixMilli()/interval.Milliseconds()*interval.Milliseconds() + interval.Milliseconds()
	if h.model[end] == nil {
		h.model[end] = map[string]int64{}
	}
	h.model[end][value]++
}

func (h *history) crash() {
	disk := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(h.r.Uint64())}[h.r.IntN(4)]
	switch h.r.IntN(4) {
	case 0:
		h.d.CrashAll(disk)
	case 1:
		h.d.Crash("every-stamp", h.r.Int32N(h.parts), disk)
	case 2:
		h.d.Crash("by-value", 0, disk)
	case 3:
		h.d.Crash("gather", 0, disk)
	}
}

// rows are the records of a topic, by batch and key.
func (h *history) rows(topic string) map[int64]map[string]int64 {
	out := map[int64]map[string]int64{}
	for _, r := range h.d.Topic(topic) {
		header, _ := r.Headers.Get(batch.HeaderBatch)
		end, err := strconv.ParseInt(string(header), 10, 64)
		if err != nil || int64(r.Timestamp) != end {
			h.t.Fatalf("topic %s: header %q, timestamp %d", topic, header, r.Timestamp)
		}
		value, err := serde.Int64.Decode(r.Value)
		if err != nil {
			h.t.Fatal(err)
		}
		if out[end] == nil {
			out[end] = map[string]int64{}
		}
		if _, twice := out[end][string(r.Key)]; twice {
			h.t.Errorf("topic %s: batch %d has key %q twice", topic, end, r.Key)
		}
		out[end][string(r.Key)] = value
	}
	return out
}

func (h *history) check() {
	counts, byValue := h.rows("n"), h.rows("rows")
	ends := slices.Sorted(maps.Keys(counts))
	h.t.Logf("%d batches", len(ends))
	h.checkEnds(ends)
	total := map[string]int64{}
	for _, end := range ends {
		sum := int64(0)
		for v, n := range byValue[end] {
			sum += n
			total[v] += n
		}
		if sum != counts[end][""] {
			h.t.Errorf("batch %d: CountByValue has %d, Count %d", end, sum, counts[end][""])
		}
		if h.exact && !maps.Equal(byValue[end], h.model[end]) {
			h.t.Errorf("batch %d: %v, want %v", end, byValue[end], h.model[end])
		}
		if n, ok := h.calls[end]; !ok || n != sum {
			h.t.Errorf("batch %d: ForEach was called with %d (%v), want %d", end, n, ok, sum)
		}
	}
	if !maps.Equal(total, h.sent) {
		h.t.Errorf("all batches: %v, want %v", total, h.sent)
	}
	h.checkDerived(ends, byValue)
	h.checkPrinted(ends, counts, byValue)
}

// checkEnds checks that every batch has a result.
func (h *history) checkEnds(ends []int64) {
	if len(ends) < 6 {
		h.t.Fatalf("only %d batches", len(ends))
	}
	for i := 1; i < len(ends); i++ {
		if ends[i]-ends[i-1] != interval.Milliseconds() {
			h.t.Errorf("no result between the batches %d and %d", ends[i-1], ends[i])
		}
	}
	if last := h.d.Now().UnixMilli() / interval.Milliseconds() * interval.Milliseconds(); ends[len(ends)-1] != last {
		h.t.Errorf("the last batch is %d, want %d", ends[len(ends)-1], last)
	}
}

func (h *history) checkDerived(ends []int64, byValue map[int64]map[string]int64) {
	windows, sums, countWindow, long := h.rows("window"), h.rows("sums-window"), h.rows("n-window"), h.rows("longer")
	top, sorted, several := h.rows("top"), h.rows("sorted"), h.rows("several")
	for i, end := range ends {
		want, lengths, all := map[string]int64{}, map[string]int64{}, int64(0)
		for _, e := range ends[max(0, i-panes+1) : i+1] {
			for v, n := range byValue[e] {
				want[v] += n
				lengths[v] += n * int64(len(v))
				all += n
			}
		}
		more := map[string]int64{}
		for _, e := range ends[max(0, i-longer+1) : i+1] {
			for v, n := range byValue[e] {
				more[v] += n
			}
		}
		h.equal("longer", end, long[end], more)
		h.equal("window", end, windows[end], want)
		h.equal("sums-window", end, sums[end], lengths)
		h.equal("n-window", end, countWindow[end], map[string]int64{"": all})
		h.equal("sorted", end, sorted[end], byValue[end])
		h.equal("top", end, top[end], maps.Collect(pairs(best(byValue[end]))))
		twice := maps.Clone(byValue[end])
		maps.DeleteFunc(twice, func(_ string, n int64) bool { return n < 2 })
		h.equal("several", end, several[end], twice)
	}
}

func (h *history) equal(topic string, end int64, got, want map[string]int64) {
	h.t.Helper()
	if len(got)+len(want) > 0 && !maps.Equal(got, want) {
		h.t.Errorf("topic %s: batch %d: %v, want %v", topic, end, got, want)
	}
}

type pair struct {
	v string
	n int64
}

// best returns the two most frequent values.
func best(counts map[string]int64) (out []pair) {
	for v, n := range counts {
		out = append(out, pair{v, n})
	}
	slices.SortFunc(out, func(a, b pair) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.v, b.v)) })
	return out[:min(2, len(out))]
}

func pairs(all []pair) func(func(string, int64) bool) {
	return func(yield func(string, int64) bool) {
		for _, p := range all {
			if !yield(p.v, p.n) {
				return
			}
		}
	}
}

// checkPrinted checks that the printed text consists of correct blocks, in order, each at
// most once.
func (h *history) checkPrinted(ends []int64, counts, byValue map[int64]map[string]int64) {
	rest := h.printed.String()
	for _, end := range ends {
		for _, rows := range []string{fmt.Sprintln(counts[end][""]), printedRows(best(byValue[end]))} {
			const rule = "-------------------------------------------\n"
			block := fmt.Sprintf("%sTime: %s\n%s%s\n", rule, printed(end), rule, rows)
			rest = strings.TrimPrefix(rest, block)
		}
	}
	if rest != "" {
		h.t.Errorf("printed what is no result, or twice, or out of order:\n%s", rest)
	}
}

func printedRows(rows []pair) (text string) {
	for _, r := range rows {
		text += fmt.Sprintf("(%s,%d)\n", r.v, r.n)
	}
	return text
}
