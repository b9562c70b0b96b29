package topology

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func sides(a string, aok bool, b string, bok bool) string {
	if !aok {
		a = "null"
	}
	if !bok {
		b = "null"
	}
	return a + "+" + b
}

func TestJoinWindow(t *testing.T) {
	t.Parallel()
	b := New()
	l, r := Source(b, "l", serde.String, serde.String), Source(b, "r", serde.String, serde.String)
	within := Within(ms(10)).Grace(ms(5))
	JoinWindow(l, r, "in", within, both, serde.String).To("inner")
	LeftJoinWindow(l, r, "le", within, maybe, serde.String).To("left")
	OuterJoinWindow(l, r, "ou", within, sides, serde.String).To("outer")
	f := run(t, b)
	f.Feed("l", "k:a@10", "-:n@11", "k:-@12")
	f.Feed("r", "k:x@20", "-:m@21", "q:y@21")
	f.Expect("left -:n+false@11", "outer -:n+null@11", "inner k:a+x@20", "left k:a+xtrue@20", "outer k:a+x@20", "outer -:null+m@21")
	f.Feed("l", "q:late@16", "u:b@30")
	f.Expect("inner q:late+y@21", "left q:late+ytrue@21", "outer q:late+y@21")
	f.Feed("r", "w:z@45")
	f.Expect()
	f.Feed("r", "w:z@46")
	f.Expect("left u:b+false@30", "outer u:b+null@30")
	f.Feed("l", "u:old@5", "w:c@57")
	f.Expect("left u:old+false@5", "outer u:old+null@5")
	f.Feed("l", "w:d@56")
	f.Expect("inner w:d+z@56", "left w:d+ztrue@56", "outer w:d+z@56")
	f.Feed("l", "v:e@80")
	f.Expect("left w:c+false@57", "outer w:null+z@45", "outer w:c+null@57")
	f.ExpectDrops("in: null key", "in: null value", "le: null value", "ou: null value", "in: null key", "le: null key", "in: late record", "le: late record", "ou: late record")
}

// TestJoinWindowWithItself: there is one store, and each pair is joined in both orders. A
// record waits only if it is not its own partner.
func TestJoinWindowWithItself(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	LeftJoinWindow(s, s, "self", Within(ms(10)), maybe, serde.String).To("out")
	LeftJoinWindow(s, s, "later", Within(ms(10)).Before(-ms(1)), maybe, serde.String).To("later-out")
	f := run(t, b)
	f.Feed("in", "k:1@0", "-:n@0", "k:2@5", "k:3@30")
	f.Expect("out k:1+1true@0", "out -:n+false@0", "later-out -:n+false@0",
		"out k:2+1true@5", "out k:1+2true@5", "out k:2+2true@5", "later-out k:1+2true@5", "out k:3+3true@30", "later-out k:2+false@5")
	var stores []string
	for _, s := range f.Graph.Stores {
		stores = append(stores, s.Name)
	}
	slices.Sort(stores)
	if want := []string{"later-left", "later-unmatched", "self-left"}; !slices.Equal(stores, want) {
		t.Errorf("the stores are %v, want %v", stores, want)
	}
}

// TestRepartitionedJoinWindow: both sides go through topics with the same number of
// partitions, and a left record without a key has a result.
func TestRepartitionedJoinWindow(t *testing.T) {
	t.Parallel()
	b := New()
	first := func(r rec) *string {
		if r.Value == "none" {
			return nil
		}
		key := r.Value[:1]
		return &key
	}
	keys := serde.Nullable(serde.String)
	l := SelectKey(Source(b, "l", serde.String, serde.String), first, keys)
	r := SelectKey(Source(b, "r", serde.String, serde.String), first, keys)
	LeftJoinWindow(l, r, "joined", Within(ms(10)), maybe, serde.String).To("out")
	f := run(t, b)
	f.Feed("l", "-:ax@1", "-:none@2")
	f.Feed("r", "-:ay@3", "-:none@4")
	f.Expect("out -:none+false@2", "out a:ax+aytrue@3")
	counts, err := f.Graph.PartitionCounts(func(topic string) (int32, error) { return map[string]int32{"l": 12, "r": 4}[topic], nil })
	if err != nil {
		t.Fatal(err)
	}
	left, right := counts[graph.Topic{Name: "joined-left-repartition", Internal: true}], counts[graph.Topic{Name: "joined-right-repartition", Internal: true}]
	if left != right || left < 4 {
		t.Errorf("%d and %d partitions", left, right)
	}
}

// TestUnevenJoinWindow: the topics of both streams must have the same number of
// partitions.
func TestUnevenJoinWindow(t *testing.T) {
	t.Parallel()
	b := New()
	JoinWindow(Source(b, "l", serde.String, serde.String), Source(b, "r", serde.String, serde.String), "joined", Within(ms(10)), both, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	_, err = topo.g.PartitionCounts(func(topic string) (int32, error) { return map[string]int32{"l": 3, "r": 4}[topic], nil })
	if err == nil || !strings.Contains(err.Error(), "l has 3, r has 4") || !strings.Contains(err.Error(), "topology.Repartition") {
		t.Errorf("error %v", err)
	}
}

// TestFailingWindowJoiner: if the function fails for a pair, the pair has no result. The
// other pairs have results, and the record is stored.
func TestFailingWindowJoiner(t *testing.T) {
	t.Parallel()
	b := New()
	l, r := Source(b, "l", serde.String, serde.String), Source(b, "r", serde.String, serde.String)
	TryOuterJoinWindow(l, r, "joined", Within(ms(10)), func(a string, aok bool, b string, bok bool) (string, error) {
		switch {
		case a == "bad" && b == "x":
			return "", errors.New("cannot be joined")
		case a == "alone" && !bok:
			panic("alone")
		}
		return sides(a, aok, b, bok), nil
	}, serde.String).To("out")
	f := run(t, b, graphtest.WithPolicy(processor.Skip))
	f.Feed("r", "k:w@1", "k:x@1", "k:y@1")
	f.Feed("l", "k:bad@2", "k:good@2", "q:alone@3", "-:alone@3")
	f.Feed("r", "k:z@3", "q:now@90")
	f.Expect("out k:bad+w@2", "out k:bad+y@2", "out k:good+w@2", "out k:good+x@2", "out k:good+y@2", "out k:bad+z@3", "out k:good+z@3")
	got := strings.Join(f.Failures, "; ")
	if strings.Count(got, "joined: process: cannot be joined") != 1 || strings.Count(got, "joined: process: panic: alone") != 2 {
		t.Errorf("failures %s", got)
	}
}

func TestJoinWindowProblems(t *testing.T) {
	t.Parallel()
	b := New()
	l, r := Source(b, "l", serde.String, serde.String), Source(b, "r", serde.String, serde.String)
	join := func(name string, w JoinWindows) { JoinWindow(l, r, name, w, both, serde.String) }
	join("", Within(ms(1)))
	join("none", Within(0))
	join("zero", JoinWindows{})
	join("negative", Within(-ms(1)))
	join("least", Within(math.MinInt64))
	join("apart", Within(ms(3)).Before(-ms(3)))
	join("grace", Within(ms(1)).Grace(-ms(1)))
	join("micro", Within(time.Microsecond*1500))
	join("endless", Within(math.MaxInt64))
	join("long", Within(ms(1)).Grace(math.MaxInt64/1e6*1e6))
	JoinWindow[string, string, string, string](l, r, "nil", Within(ms(1)), nil, serde.String)
	JoinWindow(MapValues(l, strings.ToUpper, nil), r, "serde", Within(ms(1)), both, serde.String)
	JoinWindow(l, Source(b, "json", serde.JSON[string](), serde.String), "json-join", Within(ms(1)), both, serde.String)
	JoinWindow(l, Source(New(), "other", serde.String, serde.String), "far", Within(ms(1)), both, serde.String)
	r.ToTable("same-left")
	join("same", Within(ms(1)))
	_, err := b.Build()
	for _, want := range []string{
		`needs a name, which names its stores and changelogs`,
		`joinWindow "none": the window (0s before to 0s after) must be at least one millisecond long`,
		`joinWindow "zero": the window (0s before to 0s after) must be at least`,
		`joinWindow "negative": the window (-1ms before to -1ms after) must be at least`,
		`joinWindow "least": the window (`,
		`joinWindow "apart": the window (-3ms before to 3ms after) must be at least`,
		`joinWindow "grace": the grace -1ms must not be negative`,
		`joinWindow "micro": the time 1.5ms must be a whole number of milliseconds`,
		`joinWindow "endless": the window`,
		`joinWindow "long": the window (1ms before to 1ms after) plus the grace`,
		`joinWindow "nil": the function is nil`,
		`joinWindow "serde": needs a serde for its values, to store the records of the left stream`,
		`joinWindow "json-join": the keys have the serdes`,
		`joinWindow "far": was given a handle of another Builder`,
		`the name "same-left" is used by`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error %v", want, err)
		}
	}
}

// BenchmarkJoinWindow joins two streams in which most records have a partner or two.
func BenchmarkJoinWindow(b *testing.B) {
	for name, join := range map[string]func(l, r Stream[string, string]) Stream[string, string]{
		"inner": func(l, r Stream[string, string]) Stream[string, string] {
			return JoinWindow(l, r, "joined", Within(time.Second), func(a, _ string) string { return a }, serde.String)
		},
		"outer": func(l, r Stream[string, string]) Stream[string, string] {
			return OuterJoinWindow(l, r, "joined", Within(time.Second), func(a string, _ bool, _ string, _ bool) string { return a }, serde.String)
		},
	} {
		b.Run(name, func(b *testing.B) {
			builder := New()
			join(Source(builder, "l", serde.String, serde.String), Source(builder, "r", serde.String, serde.String)).ForEach(func(processor.Record[string, string]) error { return nil })
			f := run(b, builder)
			f.Discard = true
			in := &graph.Input{Value: []byte("a value of some length, as they are")}
			keys := make([][]byte, 1000)
			for i := range keys {
				keys[i] = []byte("key-" + strings.Repeat(string(rune('a'+i%26)), 1+i/26))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				in.Key, in.Offset = keys[i*7%len(keys)], int64(i)
				in.Timestamp = processor.Timestamp(i * 6 / 10)
				source := f.Sources["l"]
				if i&1 == 1 {
					source = f.Sources["r"]
				}
				f.Current = in
				if err := source.Receive(in); err != nil {
					b.Fatal(err)
				}
				if i%10_000 == 9_999 {
					f.Commit()
				}
			}
		})
	}
}

// TestManyWaitingRecords: between two records of one side that wait lie many records of
// the other side, which wait longer. All have a result in the end.
func TestManyWaitingRecords(t *testing.T) {
	t.Parallel()
	b := New()
	twoStreams(b, Within(0).Before(ms(200)).After(ms(1000)))
	f := run(t, b)
	f.Feed("r", "first:y@0", "second:y@190")
	many(100, "l", "l%d:x@%d", keysFrom(102, 1))(f)
	f.Feed("r", "third:y@250")
	f.Commit()
	many(200, "l", "m%d:x@%d", keysFrom(302, 1))(f)
	f.Feed("l", "last:x@9999")
	got := strings.Join(f.Out(), " ")
	for _, key := range []string{"first:null+y@0", "second:null+y@190", "third:null+y@250", "l0:x+null@102", "l99:x+null@201", "m199:x+null@501"} {
		if strings.Count(got, "out "+key) != 1 {
			t.Errorf("the result %s was not sent once", key)
		}
	}
	if n := strings.Count(got, "out "); n != 303 {
		t.Errorf("%d results, want 303", n)
	}
}

// TestRecordsOfOneTime: records with the same key and time are different ones, also if a
// restart lies between them.
func TestRecordsOfOneTime(t *testing.T) {
	t.Parallel()
	b := New()
	twoStreams(b, Within(ms(10)))
	f := run(t, b)
	f.Feed("l", "k:a@5")
	f.Restart()
	f.Feed("l", "k:b@5")
	f.Restart()
	f.Feed("r", "k:x@6")
	f.Expect("out k:a+x@6", "out k:b+x@6")
}

// TestPartnersOfALongerKey: the key of a record continues like the encoding of another
// key and a time, so that the rows of both lie side by side.
func TestPartnersOfALongerKey(t *testing.T) {
	t.Parallel()
	b := New()
	twoStreams(b, Within(ms(10)))
	f := run(t, b)
	f.Feed("l", "k:short@259", "k\x00\x00\x00\x00\x00\x00\x01\x03:long@259")
	f.Restart() // rows in memory are found by their keys
	f.Feed("r", "k:x@260")
	f.Expect("out k:short+x@260")
}
