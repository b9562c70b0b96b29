package topologytest_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// poison is the value or key at which the functions and serdes of these tests fail.
const poison = "poison"

var errPoison = errors.New("this is poison")

func refuse(s string) error {
	if strings.Contains(s, poison) {
		return errPoison
	}
	return nil
}

// picky is a serde of text that cannot read, or cannot write, poison. panics says whether
// it panics.
type picky struct{ noRead, noWrite, panics bool }

func (p picky) fail(s string) error {
	err := refuse(s)
	if err != nil && p.panics {
		panic(err)
	}
	return err
}

func (p picky) Append(dst []byte, s string) ([]byte, error) {
	if p.noWrite {
		if err := p.fail(s); err != nil {
			return nil, err
		}
	}
	return append(dst, s...), nil
}

func (p picky) Decode(data []byte) (string, error) {
	if p.noRead {
		return string(data), p.fail(string(data))
	}
	return string(data), nil
}

// place is a place in a topology where a record may fail. The record is the second of
// three: k=1, k=poison, k=3.
type place struct {
	phase processor.Phase
	node  string
	build func(s source)
	out   []string // the records in topic out if the record is skipped
	opts  []topologytest.Option
}

// source makes the stream of the test's input with the given serdes and options.
type source func(ks, vs serde.Serde[string], opts ...topology.SourceOption) topology.Stream[string, string]

func (s source) text() topology.Stream[string, string] { return s(serde.String, serde.String) }

type record = processor.Record[string, string]

var named = topology.Named("here")

// places are the serdes, and all operators that run user code.
func places() map[string]place {
	try := func(v string) (string, error) { return v, refuse(v) }
	tryRecord := func(r record) (record, error) { return r, refuse(r.Value) }
	panics := func(v string) string {
		if err := refuse(v); err != nil {
			panic(err)
		}
		return v
	}
	rest := []string{"k=1", "k=3"}
	process := func(build func(s topology.Stream[string, string]) topology.Stream[string, string]) place {
		return place{processor.Process, "here", func(s source) { build(s.text()).To("out") }, rest, nil}
	}
	sink := func(to func(s topology.Stream[string, string]), opts ...topologytest.Option) place {
		return place{processor.Produce, "here", func(s source) { to(s.text()) }, rest, opts}
	}
	type stream = topology.Stream[string, string]
	// The group behind a table asks it for the old row of each update: for the third
	// record, the row of the second one.
	grouped := func(t topology.Table[string, string]) stream {
		groups := topology.GroupTable(t, "g", func(string) string { return "k" }, serde.String)
		last, none := func(_, v string) string { return v }, func(_, _ string) string { return "" }
		return groups.Reduce("r", last, none, topology.EveryUpdate()).Stream().Filter(func(v string) bool { return v != "" })
	}
	return map[string]place{
		"value": {processor.Decode, "in-source", func(s source) { s(serde.String, picky{noRead: true}).To("out") }, rest, nil},
		"value, by panic": {
			processor.Decode, "in-source", func(s source) { s(serde.String, picky{noRead: true, panics: true}).To("out") }, rest, nil,
		},
		"timestamp": {processor.Decode, "in-source", func(s source) {
			s(serde.String, serde.String, topology.TimestampFrom(func(r record, _ processor.Timestamp) (processor.Timestamp, error) {
				return r.Timestamp, refuse(r.Value)
			})).To("out")
		}, rest, nil},
		"filter": process(func(s stream) stream {
			return s.TryFilter(func(v string) (bool, error) { return true, refuse(v) }, named)
		}),
		"filter, by panic":  process(func(s stream) stream { return s.Filter(func(v string) bool { panics(v); return true }, named) }),
		"filterNot":         process(func(s stream) stream { return s.FilterNot(func(v string) bool { panics(v); return false }, named) }),
		"peek":              process(func(s stream) stream { return s.Peek(func(v string) { panics(v) }, named) }),
		"mapValues":         process(func(s stream) stream { return topology.TryMapValues(s, try, serde.String, named) }),
		"mapValues, panics": process(func(s stream) stream { return topology.MapValues(s, panics, serde.String, named) }),
		"map":               process(func(s stream) stream { return topology.TryMap(s, tryRecord, serde.String, serde.String, named) }),
		"flatMap": process(func(s stream) stream {
			return topology.TryFlatMap(s, func(r record) ([]record, error) { return []record{r}, refuse(r.Value) }, serde.String, serde.String, named)
		}),
		"flatMapValues": process(func(s stream) stream {
			return topology.TryFlatMapValues(s, func(v string) ([]string, error) { return []string{v}, refuse(v) }, serde.String, named)
		}),
		"selectKey": process(func(s stream) stream {
			return topology.TrySelectKey(s, func(r record) (string, error) { return r.Key, refuse(r.Value) }, serde.String, named)
		}),
		"branch": process(func(s stream) stream {
			return s.Branch("here", topology.Case("all", func(v string) bool { panics(v); return true }))[0]
		}),
		"process": process(func(s stream) stream {
			return topology.Process(s, "here", func() *checker { return &checker{} }, serde.String, serde.String)
		}),
		"reduce": process(func(s stream) stream {
			return topology.GroupByKey(s, "g").TryReduce("here", func(_, v string) (string, error) { return v, refuse(v) }, topology.EveryUpdate()).Stream()
		}),
		"aggregate": process(func(s stream) stream {
			add := func(_ string, r record) (string, error) { return r.Value, refuse(r.Value) }
			return topology.TryAggregate(topology.GroupByKey(s, "g"), "here", func() string { return "" }, add, serde.String, topology.EveryUpdate()).Stream()
		}),
		"sliding": process(func(s stream) stream {
			w := topology.GroupByKey(s, "g").Window(topology.Sliding(time.Hour))
			windowed(topology.TryAggregateWindows(w, "here", func() string { return "" }, func(_ string, r record) (string, error) { return r.Value, refuse(r.Value) }, serde.String))
			return s.TryFilter(func(v string) (bool, error) { return v != poison, nil })
		}),
		"sessions": process(func(s stream) stream {
			add := func(_ string, r record) (string, error) { return r.Value, refuse(r.Value) }
			merge := func(_, b string) (string, error) { return b, nil }
			windowed(topology.TryAggregateSessions(topology.GroupByKey(s, "g").Sessions(time.Hour), "here", func() string { return "" }, add, merge, serde.String))
			return s.TryFilter(func(v string) (bool, error) { return v != poison, nil })
		}),
		"cogroup": process(func(s stream) stream {
			fold := topology.TryFold(topology.GroupByKey(s, "g"), func(_ string, r record) (string, error) { return r.Value, refuse(r.Value) })
			return topology.Cogroup(fold).Aggregate("here", func() string { return "" }, serde.String, topology.EveryUpdate()).Stream()
		}),
		"join": process(func(s stream) stream {
			return topology.TryJoin(s, s.ToTable("t"), func(v, _ string) (string, error) { return v, refuse(v) }, serde.String, named)
		}),
		"leftJoin, by panic": process(func(s stream) stream {
			return topology.LeftJoin(s, s.ToTable("t"), func(v, _ string, _ bool) string { return panics(v) }, serde.String, named)
		}),
		"joinWindow": process(func(s stream) stream {
			itself := topology.Within(time.Millisecond)
			return topology.TryJoinWindow(s, s, "here", itself, func(v, _ string) (string, error) { return v, refuse(v) }, serde.String)
		}),
		"processValues": process(func(s stream) stream {
			return topology.ProcessValues(s, "here", func() *valueChecker { return &valueChecker{} }, serde.String)
		}),
		"mapTable": process(func(s stream) stream {
			return grouped(topology.TryMapTable(s.ToTable("t", topology.EveryUpdate()), try, serde.String, named))
		}),
		"mapTable, panics": process(func(s stream) stream {
			return grouped(topology.MapTable(s.ToTable("t"), panics, serde.String, named))
		}),
		"filterTable": process(func(s stream) stream {
			return grouped(s.ToTable("t").TryFilter(func(v string) (bool, error) { return true, refuse(v) }, named))
		}),
		"joinTables": {processor.Process, "here-left", func(s source) {
			stream := s.text()
			empty := stream.Filter(func(string) bool { return false }).ToTable("empty")
			join := func(l, _ string, _ bool) (string, error) { return l, refuse(l) }
			grouped(topology.TryLeftJoinTables(stream.ToTable("t"), empty, join, serde.String, named)).To("out")
		}, rest, nil},
		"groupTable": process(func(s stream) stream {
			groups := topology.TryGroupTable(s.ToTable("t"), "here", func(v string) (string, error) { return "k", refuse(v) }, serde.String)
			last, none := func(_, v string) string { return v }, func(_, _ string) string { return "" }
			return groups.Reduce("r", last, none, topology.EveryUpdate()).Stream().Filter(func(v string) bool { return v != "" })
		}),
		"forEach": {processor.Process, "here", func(s source) {
			s.text().To("out")
			s.text().ForEach(func(r record) error { return refuse(r.Value) }, named)
		}, []string{"k=1", "k=poison", "k=3"}, nil},
		"hopping aggregate": process(func(s stream) stream {
			w := topology.GroupByKey(s, "g").Window(topology.Hopping(4*time.Hour, time.Hour))
			windowed(topology.TryAggregateWindows(w, "here", func() string { return "" }, func(_ string, r record) (string, error) { return r.Value, refuse(r.Value) }, serde.String))
			return s.TryFilter(func(v string) (bool, error) { return v != poison, nil })
		}),
		"groupBy": process(func(s stream) stream {
			return topology.GroupByRecord(s, "here", func(r record) (string, error) { panics(r.Value); return r.Key, nil }, serde.String).
				Reduce("r", func(_, v string) string { return v }, topology.EveryUpdate()).Stream()
		}),
		"behind a merged table": process(func(s stream) stream {
			t := topology.GroupByKey(s, "g").Reduce("r", func(_, v string) string { return v }).Stream()
			return topology.TryMapValues(t, try, serde.String, named)
		}),
		"behind a merged windowed table": process(func(s stream) stream {
			w := topology.GroupByKey(s, "g").Window(topology.Tumbling(time.Hour))
			t := w.Reduce("r", func(_, v string) string { return v }).Stream()
			keys := topology.SelectKey(t, func(r processor.Record[serde.Windowed[string], string]) string { return r.Key.Key }, serde.String)
			return topology.TryMapValues(keys, try, serde.String, named)
		}),
		"sink value": sink(func(s stream) {
			topology.MapValues(s, same, serde.Serde[string](picky{noWrite: true})).To("out", named)
		}),
		"sink value, by panic": sink(func(s stream) {
			topology.MapValues(s, same, serde.Serde[string](picky{noWrite: true, panics: true})).To("out", named)
		}),
		"partitioner": sink(func(s stream) {
			s.To("out", named, topology.Partitioner(func(r record, _ int32) []int32 { panics(r.Value); return nil }))
		}),
		"partitioner of nowhere": sink(func(s stream) {
			s.To("out", named, topology.Partitioner(func(r record, n int32) []int32 {
				if r.Value == poison {
					return []int32{n}
				}
				return nil
			}))
		}),
		"chosen topic": sink(func(s stream) { s.ToTopic(func(r record) string { panics(r.Value); return "out" }, named) }),
		"no chosen topic": sink(func(s stream) {
			s.ToTopic(func(r record) string {
				if r.Value == poison {
					return ""
				}
				return "out"
			}, named)
		}),
		"too large": sink(func(s stream) {
			topology.MapValues(s, func(v string) string {
				if v == poison {
					return strings.Repeat("x", 1000)
				}
				return v
			}, serde.String).To("out", named)
		}, topologytest.MaxMessageBytes("out", 500)),
		"repartition": {processor.Produce, "r-repartition-sink", func(s source) {
			topology.Repartition(topology.MapValues(s.text(), same, serde.Serde[string](picky{noWrite: true})), "r").To("out")
		}, rest, nil},
	}
}

// windowed gives the rows of a windowed table to a function that does nothing.
func windowed(t topology.WindowedTable[string, string]) {
	t.Stream().ForEach(func(processor.Record[serde.Windowed[string], string]) error { return nil })
}

func same(v string) string { return v }

// checker fails at poison.
type checker struct{}

func (*checker) Init(processor.Context[string, string]) error { return nil }

func (*checker) Process(ctx processor.Context[string, string], r record) error {
	if err := refuse(r.Value); err != nil {
		return err
	}
	ctx.Forward(r)
	return nil
}

// valueChecker is a checker of values.
type valueChecker struct{}

func (*valueChecker) Init(processor.FixedKeyContext[string, string]) error { return nil }

func (*valueChecker) Process(ctx processor.FixedKeyContext[string, string], r processor.FixedKeyRecord[string, string]) error {
	if err := refuse(r.Value()); err != nil {
		return err
	}
	ctx.Forward(r)
	return nil
}

// send3 sends three records, the second of which is poison.
func send3(d *topologytest.Driver) {
	for i, v := range []string{"1", poison, "3"} {
		topologytest.Input(d, "in", serde.String, serde.String).Send("k", v, start.Add(time.Duration(i)*time.Second), processor.Header{Key: "mine", Value: []byte(v)})
	}
}

// For every action and every place that runs user code or a user's serde: what happens to
// the record, to the records around it, and to the offsets.
func TestEveryActionAtEveryPlace(t *testing.T) {
	t.Parallel()
	for name, p := range places() {
		make := func(t *testing.T, policy processor.ErrorPolicy) *topologytest.Driver {
			b := topology.New()
			p.build(func(ks, vs serde.Serde[string], opts ...topology.SourceOption) topology.Stream[string, string] {
				return topology.Source(b, "in", ks, vs, opts...)
			})
			opts := append([]topologytest.Option{topologytest.ErrorPolicy(policy)}, p.opts...)
			return topologytest.New(t, build(t, b), opts...)
		}
		values := func(d *topologytest.Driver) []string {
			return lines(topologytest.Output(d, "out", serde.String, serde.String).Records())
		}
		t.Run(name+"/fail", func(t *testing.T) {
			t.Parallel()
			d := make(t, processor.ErrorPolicy{})
			err := d.Try(func() { send3(d) })
			var e *processor.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *processor.Error", err)
			}
			if e.Phase != p.phase || e.Node != p.node || e.Topic != "in" || e.Partition != 0 || e.Offset != 1 {
				t.Errorf("got %v, want phase %v of node %s at in/0@1", e, p.phase, p.node)
			}
			// A restart resumes at the record: nothing is committed twice, and the record
			// fails again.
			if err := d.Try(d.Restart); err == nil {
				t.Error("the restart has gone past the record")
			}
			if got := values(d); len(got) != 1 || got[0] != "k=1" {
				t.Errorf("out has %q, want k=1", got)
			}
		})
		for _, policy := range []processor.ErrorPolicy{
			{Decode: processor.Skip, Process: processor.Skip, Produce: processor.Skip},
			{Decode: processor.Retry, Process: processor.Retry, Produce: processor.Retry, Exhausted: processor.Skip},
			{Decode: processor.DeadLetter, Process: processor.DeadLetter, Produce: processor.DeadLetter, DeadLetterTopic: "dead"},
			{Decode: processor.Retry, Process: processor.Retry, Produce: processor.Retry, Exhausted: processor.DeadLetter, DeadLetterTopic: "dead"},
		} {
			t.Run(fmt.Sprintf("%s/%v %v", name, policy.Process, policy.Exhausted), func(t *testing.T) {
				t.Parallel()
				d := make(t, policy)
				send3(d)
				d.Restart() // committed records are not processed again
				want(t, values(d), p.out...)
				if n := d.DropReasons()["error in "+p.phase.String()]; n != 1 {
					t.Errorf("%d records are counted as dropped, want 1: %v", n, d.DropReasons())
				}
				if policy.DeadLetterTopic != "" {
					wantLetter(t, d, p)
				}
			})
		}
	}
}

// A record of one table looks up a row of the other, for which a function fails. The
// record that made that row is the one with a dead letter, and the only one that was
// dropped.
func TestRowsThatAreLookedUpAndFail(t *testing.T) {
	t.Parallel()
	type table = topology.Table[string, string]
	maybe := func(l, r string, ok bool) string { return fmt.Sprint(l, r, ok) }
	for name, join := range map[string]func(left, right table) table{
		"tables": func(left, right table) table { return topology.LeftJoinTables(left, right, maybe, serde.String) },
		"foreign": func(left, right table) table {
			return topology.LeftJoinForeign(left, right, "join", func(string) (string, bool) { return "k", true }, maybe, serde.String)
		},
	} {
		b := topology.New()
		left := topology.SourceTable(b, "left", serde.String, serde.String)
		right := topology.TryMapTable(topology.SourceTable(b, "right", serde.String, serde.String), func(v string) (string, error) { return v, refuse(v) }, serde.String)
		join(left, right).Stream().To("out")
		policy := processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}
		d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(policy))
		send := func(topic, value string) {
			topologytest.Input(d, topic, serde.String, serde.String).Send("k", value, start)
		}
		send("right", poison)
		send("left", "1")
		send("left", "2")
		send("right", "R")
		want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "k=1false", "k=2false", "k=2Rtrue")
		letters := d.Topic("dead")
		if n := d.DropReasons()["error in process"]; n != 1 || len(letters) != 1 || string(letters[0].Value) != poison {
			t.Errorf("%s: %d records are counted as dropped, and there are %d letters: want one of each", name, n, len(letters))
		}
	}
}

// If a row cannot be written at the commit, the application ends under every policy, and
// the error names the record that made the row.
func TestUnwritableRowIsNotSkipped(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		for _, opts := range [][]topology.TableOption{nil, {topology.EveryUpdate()}} {
			b := topology.New()
			s := topology.Source(b, "in", serde.String, serde.String)
			topology.Aggregate(topology.GroupByKey(s, "g"), "rows", func() string { return "" }, func(_ string, r record) string { return r.Value },
				serde.Serde[string](picky{noWrite: true, panics: panics}), opts...)
			skip := processor.ErrorPolicy{Decode: processor.Skip, Process: processor.Skip, Produce: processor.Skip}
			d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(skip), topologytest.CommitInterval(time.Minute))
			err := d.Try(func() {
				in := topologytest.Input(d, "in", serde.String, serde.String)
				in.Send("k", "1", start)
				in.Send("k", poison, start)
				d.Commit()
			})
			var e *processor.Error
			if !errors.As(err, &e) || e.Node != "rows" || e.Topic != "in" || e.Offset != 1 || !errors.Is(err, errPoison) {
				t.Errorf("got %v, want the error of rows at in/0@1", err)
			}
		}
	}
}

// wantLetter checks that there is one dead letter: the input record, with the place in
// its headers.
func wantLetter(t *testing.T, d *topologytest.Driver, p place) {
	t.Helper()
	letters := d.Topic("dead")
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	letter := letters[0]
	if string(letter.Key) != "k" || string(letter.Value) != poison || letter.Timestamp != processor.TimestampOf(start.Add(time.Second)) {
		t.Errorf("the letter is %s=%s@%v, want the input record", letter.Key, letter.Value, letter.Timestamp)
	}
	headers := map[string]string{}
	for _, h := range letter.Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers[processor.DeadLetterError] == "" {
		t.Error("the letter does not tell the error")
	}
	delete(headers, processor.DeadLetterError)
	want := map[string]string{
		"mine": poison, processor.DeadLetterPhase: p.phase.String(), processor.DeadLetterNode: p.node,
		processor.DeadLetterTopic: "in", processor.DeadLetterPartition: "0", processor.DeadLetterOffset: "1",
	}
	if !maps.Equal(headers, want) {
		t.Errorf("the letter has headers %q, want %q", headers, want)
	}
}

func TestTopologyThatFeedsItself(t *testing.T) {
	t.Parallel()
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String).To("in")
	d := topologytest.New(t, build(t, b))
	err := d.Try(func() { topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", time.UnixMilli(0)) })
	if err == nil || !strings.Contains(err.Error(), "writes to a topic that it reads") {
		t.Errorf("got %v", err)
	}
}

func TestPanicThatFailsLogsItsStack(t *testing.T) {
	t.Parallel()
	for action, want := range map[processor.Action]bool{processor.Fail: true, processor.Skip: false} {
		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String).Peek(func(string) { panic("no") })
		var log bytes.Buffer
		d := topologytest.New(t, build(t, b), topologytest.Logger(slog.New(slog.NewTextHandler(&log, nil))), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: action}))
		_ = d.Try(func() { topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", time.UnixMilli(0)) })
		if got := strings.Contains(log.String(), "errors_test.go:") && strings.Contains(log.String(), "stack="); got != want {
			t.Errorf("%v: the log has a stack: %v, want %v:\n%s", action, got, want, &log)
		}
	}
}
