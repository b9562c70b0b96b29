package topology

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

type rec = processor.Record[string, string]

func upper(s string) string        { return strings.ToUpper(s) }
func startsWithH(s string) bool    { return strings.HasPrefix(s, "h") }
func atoi(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// TestOperators sends records through one operator.
func TestOperators(t *testing.T) {
	t.Parallel()
	failing := errors.New("no")
	tests := map[string]struct {
		build func(s Stream[string, string])
		in    []string
		out   []string
	}{
		"filter": {
			func(s Stream[string, string]) { s.Filter(startsWithH).To("out") },
			[]string{"a:hi@1", "b:no@2", "-:ho@3", "c:-@4"},
			[]string{"out a:hi@1", "out -:ho@3"},
		},
		"filterNot": {
			func(s Stream[string, string]) { s.FilterNot(startsWithH).To("out") },
			[]string{"a:hi@1", "b:no@2", "c:-@4"},
			[]string{"out b:no@2", "out c:-@4"},
		},
		"filterRecord": {
			func(s Stream[string, string]) {
				s.FilterRecord(func(r rec) (bool, error) { return r.NoKey || r.NoValue, nil }).To("out")
			},
			[]string{"a:hi@1", "-:no@2", "c:-@4"},
			[]string{"out -:no@2", "out c:-@4"},
		},
		"tryFilter": {
			func(s Stream[string, string]) {
				s.TryFilter(func(v string) (bool, error) { n, err := atoi(v); return n > 2, err }).To("out")
			},
			[]string{"a:1@1", "a:3@2", "a:x@3"},
			[]string{"out a:3@2"},
		},
		"peek": {
			func(s Stream[string, string]) {
				s.Peek(func(string) {}).PeekRecord(func(rec) error { return nil }).To("out")
			},
			[]string{"a:hi@1", "-:-@2"},
			[]string{"out a:hi@1", "out -:-@2"},
		},
		"map": {
			func(s Stream[string, string]) {
				Map(s, func(r rec) rec { r.Key, r.Value = r.Value, r.Key; return r }, serde.String, serde.String).To("out")
			},
			[]string{"a:hi@1"},
			[]string{"out hi:a@1"},
		},
		"map to absent": {
			func(s Stream[string, string]) {
				Map(s, func(r rec) rec { r.NoKey, r.NoValue = true, true; return r }, serde.String, serde.String).To("out")
			},
			[]string{"a:hi@1"},
			[]string{"out -:-@1"},
		},
		"tryMap": {
			func(s Stream[string, string]) {
				TryMap(s, func(r rec) (processor.Record[string, int64], error) {
					n, err := atoi(r.Value)
					return processor.WithValue(r, n), err
				}, serde.String, text[int64]{}).To("out")
			},
			[]string{"a:7@1", "a:x@2"},
			[]string{"out a:7@1"},
		},
		"mapValues": {
			func(s Stream[string, string]) { MapValues(s, upper, serde.String).To("out") },
			[]string{"a:hi@1", "-:ho@2", "c:-@3"},
			[]string{"out a:HI@1", "out -:HO@2", "out c:-@3"},
		},
		"tryMapValues": {
			func(s Stream[string, string]) { TryMapValues(s, atoi, text[int64]{}).To("out") },
			[]string{"a:7@1", "a:x@2"},
			[]string{"out a:7@1"},
		},
		"mapValues to nullable": {
			func(s Stream[string, string]) {
				MapValues(s, func(v string) *string {
					if v == "" {
						return nil
					}
					return &v
				}, serde.Nullable(serde.String)).To("out")
			},
			[]string{"a:x@1", "a:@2", "a:-@3"},
			[]string{"out a:x@1", "out a:-@2", "out a:-@3"},
		},
		"flatMap": {
			func(s Stream[string, string]) {
				FlatMap(s, func(r rec) []rec { return []rec{r, processor.WithKey(r, r.Value)} }, serde.String, serde.String).To("out")
			},
			[]string{"a:hi@1"},
			[]string{"out a:hi@1", "out hi:hi@1"},
		},
		"tryFlatMap": {
			func(s Stream[string, string]) {
				TryFlatMap(s, func(r rec) ([]rec, error) { return []rec{r}, failing }, serde.String, serde.String).To("out")
			},
			[]string{"a:hi@1"},
			nil,
		},
		"flatMapValues": {
			func(s Stream[string, string]) { FlatMapValues(s, strings.Fields, serde.String).To("out") },
			[]string{"a:x y@1", "a:@2", "a:-@3"},
			[]string{"out a:x@1", "out a:y@1", "out a:-@3"},
		},
		"tryFlatMapValues": {
			func(s Stream[string, string]) {
				TryFlatMapValues(s, func(v string) ([]string, error) {
					if v == "bad" {
						return []string{"lost"}, failing
					}
					return []string{v, v}, nil
				}, serde.String).To("out")
			},
			[]string{"a:x@1", "a:bad@2"},
			[]string{"out a:x@1", "out a:x@1"},
		},
		"selectKey": {
			func(s Stream[string, string]) {
				SelectKey(s, func(r rec) int64 { return int64(len(r.Value)) }, text[int64]{}).To("out")
			},
			[]string{"a:hi@1", "-:@2"},
			[]string{"out 2:hi@1", "out 0:@2"},
		},
		"trySelectKey": {
			func(s Stream[string, string]) {
				TrySelectKey(s, func(r rec) (int64, error) { return atoi(r.Value) }, text[int64]{}).To("out")
			},
			[]string{"a:12@1", "a:x@2"},
			[]string{"out 12:12@1"},
		},
		"selectKey absent": {
			func(s Stream[string, string]) {
				SelectKey(s, func(r rec) *string { return nil }, serde.Nullable(serde.String)).To("out")
			},
			[]string{"a:hi@1"},
			[]string{"out -:hi@1"},
		},
		"merge": {
			func(s Stream[string, string]) {
				s.Merge(s.Filter(startsWithH), MapValues(s, upper, serde.String)).To("out")
			},
			[]string{"a:hi@1", "a:no@2"},
			[]string{"out a:hi@1", "out a:HI@1", "out a:hi@1", "out a:NO@2", "out a:no@2"},
		},
		"merge with itself": {
			func(s Stream[string, string]) { s.Merge(s).To("out") },
			[]string{"a:hi@1"},
			[]string{"out a:hi@1"},
		},
		"branch": {
			func(s Stream[string, string]) {
				ways := s.Branch("way", Case("h", startsWithH), Case("long", func(v string) bool { return len(v) > 2 }), Default[string]("rest"))
				ways[2].To("rest")
				ways[0].To("h")
				ways[1].To("long")
			},
			[]string{"a:hi@1", "a:long@2", "a:-@3", "a:hello@4"},
			[]string{"h a:hi@1", "long a:long@2", "rest a:-@3", "h a:hello@4"},
		},
		"branch without default": {
			func(s Stream[string, string]) {
				s.BranchRecord("way", Case("keyed", func(r rec) bool { return !r.NoKey }))[0].To("out")
			},
			[]string{"a:hi@1", "-:hi@2"},
			[]string{"out a:hi@1"},
		},
		"toTopic": {
			func(s Stream[string, string]) { s.ToTopic(func(r rec) string { return "to-" + r.Key }) },
			[]string{"a:1@1", "b:2@2"},
			[]string{"to-a a:1@1", "to-b b:2@2"},
		},
		"two sinks": {
			func(s Stream[string, string]) { s.To("out"); s.To("out") },
			[]string{"a:1@1"},
			[]string{"out a:1@1", "out a:1@1"},
		},
		"repartition": {
			func(s Stream[string, string]) { Repartition(s, "again").To("out") },
			[]string{"a:1@1", "-:2@2", "b:-@3"},
			[]string{"out a:1@1", "out b:-@3"},
		},
		"forEach": {
			func(s Stream[string, string]) {
				s.ForEach(func(rec) error { return failing })
				s.To("out")
			},
			[]string{"a:1@1"},
			[]string{"out a:1@1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			test.build(Source(b, "in", serde.String, serde.String))
			f := run(t, b, graphtest.WithPolicy(processor.Skip))
			f.Feed("in", test.in...)
			f.Expect(test.out...)
		})
	}
}

// TestOperatorErrors makes every user function fail, and panic, under each action.
func TestOperatorErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]func(s Stream[string, string], f func() error){
		"filter": func(s Stream[string, string], f func() error) {
			s.TryFilter(func(string) (bool, error) { return true, f() }, Named("op")).To("out")
		},
		"map": func(s Stream[string, string], f func() error) {
			TryMap(s, func(r rec) (rec, error) { return r, f() }, serde.String, serde.String, Named("op")).To("out")
		},
		"mapValues": func(s Stream[string, string], f func() error) {
			TryMapValues(s, func(v string) (string, error) { return v, f() }, serde.String, Named("op")).To("out")
		},
		"flatMap": func(s Stream[string, string], f func() error) {
			TryFlatMap(s, func(r rec) ([]rec, error) { return []rec{r}, f() }, serde.String, serde.String, Named("op")).To("out")
		},
		"flatMapValues": func(s Stream[string, string], f func() error) {
			TryFlatMapValues(s, func(v string) ([]string, error) { return []string{v}, f() }, serde.String, Named("op")).To("out")
		},
		"selectKey": func(s Stream[string, string], f func() error) {
			TrySelectKey(s, func(r rec) (string, error) { return r.Key, f() }, serde.String, Named("op")).To("out")
		},
		"branch": func(s Stream[string, string], f func() error) {
			s.Branch("op", Case("x", func(string) bool {
				if err := f(); err != nil {
					panic(err)
				}
				return true
			}))[0].To("out")
		},
		"sink": func(s Stream[string, string], f func() error) {
			s.ToTopic(func(rec) string {
				if err := f(); err != nil {
					panic(err)
				}
				return "out"
			}, Named("op"))
		},
		"process": func(s Stream[string, string], f func() error) {
			Process(s, "op", func() *failingProcessor { return &failingProcessor{f} }, serde.String, serde.String).To("out")
		},
	}
	boom := errors.New("boom")
	for name, build := range tests {
		for kind, fail := range map[string]func() error{
			"error": func() error { return boom },
			"panic": func() error { panic(boom) },
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				testActions(t, boom, build, fail)
			})
		}
	}
}

func testActions(t *testing.T, boom error, build func(Stream[string, string], func() error), fail func() error) {
	start := func(action processor.Action, times int) *graphtest.Task {
		b := New()
		build(Source(b, "in", serde.String, serde.String), func() error {
			if times--; times >= 0 {
				return fail()
			}
			return nil
		})
		return run(t, b, graphtest.WithPolicy(action))
	}
	f := start(processor.Skip, 1)
	f.Feed("in", "a:1@1", "a:2@2")
	f.Expect("out a:2@2")
	if len(f.Failures) != 1 || !strings.HasPrefix(f.Failures[0], "op: p") {
		t.Errorf("failures %q", f.Failures)
	}

	f = start(processor.Retry, 1)
	f.Feed("in", "a:1@1", "a:2@2")
	f.Expect("out a:1@1", "out a:2@2")

	f = start(processor.Retry, 2)
	f.Feed("in", "a:1@1", "a:2@2")
	f.Expect("out a:2@2")

	f = start(processor.Fail, 1)
	f.Feed("in", "a:1@1")
	f.Expect()
	if !errors.Is(f.Failure, boom) {
		t.Errorf("failure %v", f.Failure)
	}
}

type failingProcessor struct{ f func() error }

func (p *failingProcessor) Init(processor.Context[string, string]) error { return nil }
func (p *failingProcessor) Process(ctx processor.Context[string, string], r rec) error {
	if err := p.f(); err != nil {
		return err
	}
	ctx.Forward(r)
	return nil
}

// TestNullableFunctions calls functions with nil for absent values.
func TestNullableFunctions(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.Nullable(serde.String), serde.Nullable(serde.String))
	show := func(v *string) string {
		if v == nil {
			return "nil"
		}
		return *v
	}
	MapValues(s, show, serde.String).To("values")
	SelectKey(s, func(r processor.Record[*string, *string]) string { return show(r.Key) }, serde.String).To("keys")
	FlatMapValues(s, func(v *string) []*string { return []*string{v, nil} }, serde.Nullable(serde.String)).To("flat")
	f := run(t, b)
	f.Feed("in", "-:-@1", "a:b@2")
	f.Expect("values -:nil@1", "keys nil:-@1", "flat -:-@1", "flat -:-@1",
		"values a:b@2", "keys a:b@2", "flat a:b@2", "flat a:-@2")
}

// appendHeaders gives each topic the records with its name as one more header.
func appendHeaders(s Stream[string, string], topics ...string) {
	for _, topic := range topics {
		Map(s, func(r rec) rec {
			r.Headers = append(r.Headers, processor.Header{Key: topic})
			return r
		}, serde.String, serde.String).To(topic)
	}
}

// TestHeaders passes headers on. Siblings that append headers must not see each other's.
func TestHeaders(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	appendHeaders(s, "one", "two")
	f := run(t, b)
	headers := make(processor.Headers, 1, 10)
	headers[0] = processor.Header{Key: "h", Value: []byte("1")}
	if err := f.Process(graph.Input{Topic: "in", Key: []byte("k"), Headers: headers}); err != nil {
		t.Fatal(err)
	}
	for i, topic := range []string{"one", "two"} {
		if h := f.Sent[i].Headers; len(h) != 2 || h[0].Key != "h" || h[1].Key != topic {
			t.Errorf("%s has headers %v", topic, h)
		}
	}
}

// TestHeadersWithRoom is TestHeaders below an operator that returns headers with spare
// capacity.
func TestHeadersWithRoom(t *testing.T) {
	t.Parallel()
	roomy := func(r rec) rec { r.Headers = make(processor.Headers, 0, 10); return r }
	for name, change := range map[string]func(Stream[string, string]) Stream[string, string]{
		"map": func(s Stream[string, string]) Stream[string, string] {
			return Map(s, roomy, serde.String, serde.String)
		},
		"flatMap": func(s Stream[string, string]) Stream[string, string] {
			return FlatMap(s, func(r rec) []rec { return []rec{roomy(r)} }, serde.String, serde.String)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			s := change(Source(b, "in", serde.String, serde.String))
			appendHeaders(s, "one", "two")
			f := run(t, b)
			f.Feed("in", "k:v@1")
			for i, topic := range []string{"one", "two"} {
				if h := f.Sent[i].Headers; len(h) != 1 || h[0].Key != topic {
					t.Errorf("%s has headers %v", topic, h)
				}
			}
		})
	}
}

// TestValuesOfRecords: the functions see the key, and grouping by key after them needs no
// repartition topic.
func TestValuesOfRecords(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	both := MapValuesRecord(s, func(r rec) (string, error) { return r.Key + r.Value, nil }, serde.String)
	several := FlatMapValuesRecord(both, func(r rec) ([]string, error) { return []string{r.Value, r.Key + "!"}, nil }, serde.String)
	several.To("out")
	GroupByKey(several, "by-key").Count("counts", EveryUpdate()).Stream().To("counts")
	failing := errors.New("no")
	MapValuesRecord(s, func(rec) (string, error) { return "", failing }, serde.String, Named("map")).To("out")
	FlatMapValuesRecord(s, func(rec) ([]string, error) { return nil, failing }, serde.String, Named("flat")).To("out")
	f := run(t, b, graphtest.WithPolicy(processor.Skip))
	if len(f.Graph.Repartitions) > 0 {
		t.Errorf("there is a repartition topic: %v", f.Graph.Repartitions[0].Topic)
	}
	f.Feed("in", "k:v@1")
	f.Expect("out k:kv@1", "counts k:\x00\x00\x00\x00\x00\x00\x00\x01@1", "out k:k!@1", "counts k:\x00\x00\x00\x00\x00\x00\x00\x02@1")
	if want := []string{"map: process: no", "flat: process: no"}; !slices.Equal(f.Failures, want) {
		t.Errorf("failures %q, want %q", f.Failures, want)
	}
}
