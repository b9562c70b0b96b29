package topology

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func TestSourceTimestamps(t *testing.T) {
	t.Parallel()
	fromValue := TimestampFrom(func(r rec, partitionTime processor.Timestamp) (processor.Timestamp, error) {
		switch r.Value {
		case "partition":
			return partitionTime, nil
		case "panic":
			panic("oh")
		}
		n, err := atoi(r.Value)
		return processor.Timestamp(n), err
	})
	tests := map[string]struct {
		opts     []SourceOption
		in, out  []string
		drops    []string
		failures []string
	}{
		"fail on invalid":  {nil, []string{"a:x@1", "a:x@-1", "a:x@2"}, []string{"out a:x@1", "out a:x@2"}, nil, []string{"in: decode: the timestamp -1 is invalid: "}},
		"skip invalid":     {[]SourceOption{SkipInvalidTimestamps()}, []string{"a:x@1", "a:x@-1", "a:x@2"}, []string{"out a:x@1", "out a:x@2"}, []string{"in-source: invalid timestamp"}, nil},
		"partition time":   {[]SourceOption{PartitionTimeForInvalid()}, []string{"a:x@-1", "a:x@5", "a:x@3", "a:x@-7"}, []string{"out a:x@5", "out a:x@3", "out a:x@5"}, nil, []string{"in: decode: the timestamp -1 is invalid, and partition 0 of in has not had a valid one yet"}},
		"from the record":  {[]SourceOption{fromValue}, []string{"a:7@1", "a:partition@2", "a:x@3", "a:panic@4", "a:-8@5", "a:9@-1"}, []string{"out a:7@7", "out a:partition@7", "out a:9@9"}, []string{"in-source: invalid timestamp"}, []string{"in: decode: ", "in: decode: panic: oh"}},
		"offsets are kept": {[]SourceOption{StartAtLatest(), OutOfRangeEarliest()}, []string{"a:x@1"}, []string{"out a:x@1"}, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			Source(b, "in", serde.String, serde.String, test.opts...).To("out")
			f := run(t, b, graphtest.WithPolicy(processor.Skip))
			f.Feed("in", test.in...)
			f.Expect(test.out...)
			f.ExpectDrops(test.drops...)
			if !slices.EqualFunc(f.Failures, test.failures, strings.HasPrefix) {
				t.Errorf("failures %q, want %q", f.Failures, test.failures)
			}
		})
	}
}

func TestSourceOptions(t *testing.T) {
	t.Parallel()
	b := New()
	Source(b, "in", serde.String, serde.String, StartAtLatest(), OutOfRangeLatest(), Named("mine"))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	n := topo.g.Nodes[0]
	if n.Name != "mine" || n.SourceOpts != (graph.SourceOptions{StartAt: graph.Latest, OutOfRange: graph.OutOfRangeLatest}) {
		t.Errorf("%+v", n)
	}
}

// TestDecodeErrors skips keys and values that cannot be decoded, with and without an
// extractor.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]SourceOption{
		"plain": nil,
		"extractor": {TimestampFrom(func(r processor.Record[int64, int64], _ processor.Timestamp) (processor.Timestamp, error) {
			return r.Timestamp, nil
		})},
	} {
		b := New()
		Source(b, "in", serde.Serde[int64](text[int64]{}), serde.Serde[int64](text[int64]{}), opts...).To("out")
		f := run(t, b, graphtest.WithPolicy(processor.Skip))
		f.Feed("in", "1:1@1", "x:1@2", "1:x@3", "-:-@4")
		f.Expect("out 1:1@1", "out -:-@4")
		if len(f.Failures) != 2 || !strings.Contains(f.Failures[0], "decode: key: ") || !strings.Contains(f.Failures[1], "decode: value: ") {
			t.Errorf("%s: failures %q", name, f.Failures)
		}
	}
}

// panicking is a user's serde that panics.
type panicking struct{}

func (panicking) Append([]byte, string) ([]byte, error) { panic("append") }
func (panicking) Decode([]byte) (string, error)         { panic("decode") }

func TestPanickingSerdes(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	MapValues(s, upper, panicking{}).To("out")
	SelectKey(s, func(r rec) string { return r.Value }, panicking{}).To("out")
	Source(b, "bad", panicking{}, serde.String).To("out")
	f := run(t, b, graphtest.WithPolicy(processor.Skip))
	f.Feed("in", "a:x@1")
	f.Feed("bad", "a:x@1")
	f.Expect()
	want := []string{
		"out-sink: produce: panic: append, in topology.panicking.Append (source_test.go:",
		"out-sink-2: produce: panic: append, in topology.panicking.Append (source_test.go:",
		"bad-source: decode: panic: decode, in topology.panicking.Decode (source_test.go:",
	}
	if !slices.EqualFunc(f.Failures, want, strings.HasPrefix) {
		t.Errorf("failures %q", f.Failures)
	}
}

func TestSinkPartitions(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	s.To("out", Partitioner(func(r rec, n int32) []int32 {
		switch r.Value {
		case "default":
			return nil
		case "drop":
			return []int32{}
		case "beyond":
			return []int32{n}
		}
		return []int32{0, n - 1}
	}))
	f := run(t, b, graphtest.WithPartitions(5), graphtest.WithPolicy(processor.Skip))
	f.Feed("in", "k:default@1", "k:drop@2", "k:beyond@3", "k:many@4", "-:default@5")
	var got []int32
	for _, o := range f.Sent {
		got = append(got, o.Partition)
	}
	if want := []int32{serde.Partition([]byte("k"), 5), 0, 4, -1}; !slices.Equal(got, want) {
		t.Errorf("partitions %v, want %v", got, want)
	}
	f.ExpectDrops("out-sink: partitioner chose no partition")
	if len(f.Failures) != 1 || !strings.Contains(f.Failures[0], "the function of Partitioner chose partition 5 of topic out, which has 5") {
		t.Errorf("failures %q", f.Failures)
	}
}

func TestRepartitionPartitioner(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	Repartition(s, "r", Partitions(4), Partitioner(func(rec, int32) []int32 { return []int32{1, 2} })).To("out")
	f := run(t, b, graphtest.WithPartitions(4))
	in := graphtest.Parse("k:v@1")
	in.Topic = "in"
	if err := f.Process(in); err != nil {
		t.Fatal(err)
	}
	f.Expect("app-r-repartition k:v@1", "app-r-repartition k:v@1")
	if n := f.Graph.Repartitions[0].Partitions; n != 4 {
		t.Errorf("%d partitions", n)
	}
}

func TestSinkErrors(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	s.ToTopic(func(r rec) string { return r.Value }, Named("chosen"))
	Map(s, func(r rec) rec { r.Timestamp = -1; return r }, serde.String, serde.String).To("out", Named("negative"))
	f := run(t, b, graphtest.WithPolicy(processor.Skip))
	f.Feed("in", "k:unknown@1", "k:@1")
	f.Expect()
	want := []string{
		"chosen: produce: topic unknown: there is no such topic", "in-map: process: the timestamp -1 of the record that the function returned is negative",
		"chosen: produce: the function of ToTopic returned no topic", "in-map: process: the timestamp -1 of the record that the function returned is negative",
	}
	if !slices.Equal(f.Failures, want) {
		t.Errorf("failures %q", f.Failures)
	}
}

// TestSentBytesStay sends many records and compares all of them at the end.
func TestSentBytesStay(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	s.To("out")
	MapValues(s, func(v string) string { return strings.Repeat(v, 300) }, serde.String).To("large")
	f := run(t, b)
	var want []string
	for i := range 3000 {
		v := strings.Repeat(string(rune('a'+i%26)), i%90)
		f.Feed("in", "k"+v+":"+v+"@1")
		want = append(want, "out k"+v+":"+v+"@1", "large k"+v+":"+strings.Repeat(v, 300)+"@1")
	}
	f.Expect(want...)
	for _, o := range f.Sent {
		if cap(o.Key) != len(o.Key) || cap(o.Value) != len(o.Value) {
			t.Fatal("an append would write into the next piece")
		}
	}
}

// TestKeyBytesOfOtherSerdes: key bytes are not passed on if the serde has several
// encodings of one key.
func TestKeyBytesOfOtherSerdes(t *testing.T) {
	t.Parallel()
	b := New()
	Source(b, "in", serde.JSON[int64](), serde.String).To("out")
	f := run(t, b)
	f.Feed("in", " 1 :x@1")
	f.Expect("out 1:x@1")
}
