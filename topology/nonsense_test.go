package topology

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// nonsense builds random topologies: from valid operators only, or with invalid arguments
// too.
type nonsense struct {
	r       *rand.Rand
	b       *Builder
	valid   bool
	count   int
	streams []Stream[string, string]
}

// bad reports whether the next argument is invalid.
func (n *nonsense) bad() bool { return !n.valid && n.r.IntN(4) == 0 }

func (n *nonsense) name() string {
	if n.bad() {
		return []string{"", "..", "a b", "ö", `"`, "same", strings.Repeat("x", 300)}[n.r.IntN(7)]
	}
	n.count++
	return fmt.Sprintf("n%d", n.count)
}

func (n *nonsense) serde() serde.Serde[string] {
	if n.bad() {
		return nil
	}
	return serde.String
}

func orNil[F any](n *nonsense, f F) F {
	if n.bad() {
		var none F
		return none
	}
	return f
}

func (n *nonsense) options() []Option {
	return []Option{Named(n.name()), orNil[Option](n, Named("x"+n.name()))}
}

func (n *nonsense) windows() Windows {
	if n.bad() {
		return []Windows{{}, Tumbling(0), Tumbling(-1), Tumbling(time.Nanosecond), Hopping(time.Second, time.Hour), Hopping(1<<62, 1), Unlimited(time.UnixMilli(-1)),
			Tumbling(time.Hour).Grace(-time.Hour), Unlimited(time.Time{}).Grace(1), Hopping(time.Hour, 0)}[n.r.IntN(10)]
	}
	return []Windows{Tumbling(time.Minute), Hopping(time.Minute, 7*time.Second), Unlimited(time.UnixMilli(0))}[n.r.IntN(3)]
}

func (n *nonsense) stream() Stream[string, string] { return n.streams[n.r.IntN(len(n.streams))] }

func (n *nonsense) keep(s Stream[string, string]) { n.streams = append(n.streams, s) }

// step adds an operator.
func (n *nonsense) step() {
	s := n.stream()
	value := orNil(n, func(v string) string { return v + "'" })
	same := orNil(n, func(r rec) rec { return r })
	switch n.r.IntN(16) {
	case 0:
		n.keep(Sources(n.b, []string{n.name()}, n.serde(), n.serde(), orNil(n, StartAtLatest())))
	case 1:
		n.keep(s.Filter(orNil(n, func(v string) bool { return v != "" }), n.options()...))
	case 2:
		n.keep(MapValues(s, value, n.serde(), n.options()...))
	case 3:
		n.keep(Map(s, same, n.serde(), n.serde()))
	case 4:
		n.keep(FlatMapValues(s, orNil(n, func(v string) []string { return []string{v, v} }), n.serde()))
	case 5:
		n.keep(s.Merge(n.stream(), n.stream()))
		if n.bad() {
			n.keep(s.Merge(Source(New(), "other", serde.String, serde.String)))
		}
	case 6:
		for _, way := range s.Branch(n.name(), Case(n.name(), orNil(n, func(v string) bool { return len(v) > 2 })), Default[string](n.name())) {
			n.keep(way)
		}
		if n.bad() {
			s.Branch(n.name(), Default[string](""), BranchCase[string]{}, Default[string]("same"))
		}
	case 7:
		n.keep(Repartition(s, n.name(), orNil[RepartitionOption](n, Partitions(2))))
	case 8:
		s.To(n.name(), orNil[SinkOption](n, Named(n.name())))
		if n.bad() {
			s.To("test-n1-changelog", Partitioner(func(processor.Record[int64, int64], int32) []int32 { return nil }))
		}
	case 9:
		s.ToTopic(orNil(n, func(rec) string { return "chosen" }))
	case 10:
		n.keep(GroupBy(s, n.name(), value, n.serde(), orNil[GroupOption](n, Partitions(2))).Reduce(n.name(), orNil(n, concat), orNil[TableOption](n, InMemory())).Stream())
	case 11:
		t := GroupByKey(s, n.name()).Count(n.name(), orNil[TableOption](n, EveryUpdate()))
		n.keep(MapValues(t.Stream(), orNil(n, func(v int64) string { return fmt.Sprint(v) }), n.serde()))
		if n.bad() {
			GroupByKey(s, n.name(), Partitions(-1)).Count(n.name(), StoreOption{})
		}
	case 12:
		w := GroupByKey(s, n.name()).Window(n.windows())
		t := AggregateWindows(w, n.name(), orNil(n, func() string { return "" }), orNil(n, func(a string, r rec) string { return a + r.Value }), n.serde(), orNil[WindowedTableOption](n, WithoutChangelog()))
		n.keep(SelectKey(t.Stream(), func(r processor.Record[serde.Windowed[string], string]) string { return r.Key.String() }, n.serde()))
		if n.bad() {
			w.Count(n.name(), Retention(-time.Hour))
		}
	case 13:
		newP := orNil(n, func() *passing { return &passing{} })
		if n.bad() {
			newP = func() *passing { panic("newP") }
		}
		n.keep(Process(s, n.name(), newP, n.serde(), n.serde(), orNil[processor.StoreSpec](n, state.KeyValue(n.name(), n.serde(), n.serde()))))
	case 14:
		n.keep(s.PeekRecord(orNil(n, func(rec) error { return nil })))
	case 15:
		if n.bad() {
			n.b.OnBuild(nil)
			n.b.OnBuild(func() error { s.To(n.name()); return nil })
			n.b.Report(nil)
		}
	}
}

// passing is a processor that changes nothing.
type passing struct{}

func (*passing) Init(processor.Context[string, string]) error { return nil }
func (*passing) Process(ctx processor.Context[string, string], r rec) error {
	ctx.Forward(r)
	return nil
}

func newNonsense(seed uint64, valid bool) *nonsense {
	n := &nonsense{r: rand.New(rand.NewPCG(seed, 1)), b: &Builder{}, valid: valid}
	n.keep(Source(n.b, "in", serde.String, serde.String))
	for range 3 + n.r.IntN(15) {
		n.step()
	}
	return n
}

// TestNonsense passes random mistakes to Build. Build must not panic. Each problem must
// be one line, must appear once and must begin with the package name.
func TestNonsense(t *testing.T) {
	t.Parallel()
	refused := 0
	for seed := range uint64(3000) {
		n := newNonsense(seed, false)
		topo, err := n.b.Build()
		if err == nil {
			_, _ = topo.Describe().String(), topo.Describe().DOT()
			continue
		}
		refused++
		lines := strings.Split(err.Error(), "\n")
		for i, line := range lines {
			if !strings.HasPrefix(line, "topology: ") || slices.Contains(lines[:i], line) {
				t.Errorf("seed %d: problem %q", seed, line)
			}
		}
	}
	if refused < 1000 {
		t.Errorf("only %d of the topologies were refused", refused)
	}
}

// TestSense builds, describes and runs valid random topologies.
func TestSense(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 200, func(t *testing.T, seed uint64) {
		n := newNonsense(seed, true)
		topo, err := n.b.Build()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		text, dot := topo.Describe().String(), topo.Describe().DOT()
		for _, node := range topo.g.Nodes {
			if strings.Count(text, ": "+node.Name+" (") != 1 || !strings.Contains(dot, `"node `+node.Name+`"`) {
				t.Errorf("seed %d: node %s is not described once", seed, node.Name)
			}
		}
		f := run(t, n.b)
		f.Feed("in", "k:v@1", "-:v@2", "k:-@3", "l:w@100000")
		f.Commit()
		if f.Failure != nil {
			t.Errorf("seed %d: %v\n%s", seed, f.Failure, text)
		}
	})
}
