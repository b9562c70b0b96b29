package topology

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
)

// TestDescribeAsKafkaStreams compares with texts captured from Kafka Streams. It first
// replaces our names by those of Kafka Streams.
func TestDescribeAsKafkaStreams(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		build func(s Stream[string, string])
		names []string // ours, theirs, ...
		want  string
	}{
		"stateless/repartition-long": {
			func(s Stream[string, string]) {
				MapValues(Repartition(s, "rp", Partitions(3)), upper, serde.String, Named("KSTREAM-MAPVALUES-0000000004")).To("out", Named("KSTREAM-SINK-0000000005"))
			},
			[]string{"in-source", "KSTREAM-SOURCE-0000000000"},
			`Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> rp-repartition-filter
    Processor: rp-repartition-filter (stores: [])
      --> rp-repartition-sink
      <-- KSTREAM-SOURCE-0000000000
    Sink: rp-repartition-sink (topic: rp-repartition)
      <-- rp-repartition-filter

  Sub-topology: 1
    Source: rp-repartition-source (topics: [rp-repartition])
      --> KSTREAM-MAPVALUES-0000000004
    Processor: KSTREAM-MAPVALUES-0000000004 (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- rp-repartition-source
    Sink: KSTREAM-SINK-0000000005 (topic: out)
      <-- KSTREAM-MAPVALUES-0000000004

`,
		},
		"stateless/split-default-named": {
			func(s Stream[string, string]) {
				ways := s.Branch("sp", Case("h", startsWithH), Case("long", startsWithH), Default[string]("rest"))
				for i, topic := range []string{"h", "long", "rest"} {
					ways[i].To(topic)
				}
			},
			[]string{
				"in-source", "KSTREAM-SOURCE-0000000000", "Processor: sp (", "Processor: sp- (", "--> sp\n", "--> sp-\n", "<-- sp\n", "<-- sp-\n",
				"h-sink", "KSTREAM-SINK-0000000005", "long-sink", "KSTREAM-SINK-0000000006", "rest-sink", "KSTREAM-SINK-0000000007",
			},
			`Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> sp-
    Processor: sp- (stores: [])
      --> sp-h, sp-long, sp-rest
      <-- KSTREAM-SOURCE-0000000000
    Processor: sp-h (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- sp-
    Processor: sp-long (stores: [])
      --> KSTREAM-SINK-0000000006
      <-- sp-
    Processor: sp-rest (stores: [])
      --> KSTREAM-SINK-0000000007
      <-- sp-
    Sink: KSTREAM-SINK-0000000005 (topic: h)
      <-- sp-h
    Sink: KSTREAM-SINK-0000000006 (topic: long)
      <-- sp-long
    Sink: KSTREAM-SINK-0000000007 (topic: rest)
      <-- sp-rest

`,
		},
		"aggregate/reduce-concat-groupBy": {
			func(s Stream[string, string]) {
				GroupBy(s, "grp", upper, serde.String).Reduce("tbl", concat).Stream().To("out")
			},
			[]string{
				"in-source", "KSTREAM-SOURCE-0000000000", "[tbl]", "[agg]", "tbl-stream", "KTABLE-TOSTREAM-0000000006", "tbl", "KSTREAM-REDUCE-0000000002",
				"grp-repartition", "agg-repartition", "grp", "KSTREAM-KEY-SELECT-0000000001", "out-sink", "KSTREAM-SINK-0000000007",
			},
			`Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-KEY-SELECT-0000000001
    Processor: KSTREAM-KEY-SELECT-0000000001 (stores: [])
      --> agg-repartition-filter
      <-- KSTREAM-SOURCE-0000000000
    Processor: agg-repartition-filter (stores: [])
      --> agg-repartition-sink
      <-- KSTREAM-KEY-SELECT-0000000001
    Sink: agg-repartition-sink (topic: agg-repartition)
      <-- agg-repartition-filter

  Sub-topology: 1
    Source: agg-repartition-source (topics: [agg-repartition])
      --> KSTREAM-REDUCE-0000000002
    Processor: KSTREAM-REDUCE-0000000002 (stores: [agg])
      --> KTABLE-TOSTREAM-0000000006
      <-- agg-repartition-source
    Processor: KTABLE-TOSTREAM-0000000006 (stores: [])
      --> KSTREAM-SINK-0000000007
      <-- KSTREAM-REDUCE-0000000002
    Sink: KSTREAM-SINK-0000000007 (topic: out)
      <-- KTABLE-TOSTREAM-0000000006

`,
		},
		"stateless/dynamic-topic": {
			func(s Stream[string, string]) {
				s.Filter(startsWithH, Named("KSTREAM-FILTER-0000000001")).ToTopic(func(r rec) string { return r.Key }, Named("KSTREAM-SINK-0000000002"))
			},
			[]string{"in-source", "KSTREAM-SOURCE-0000000000", "class: func", "class: <class>"},
			`Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-FILTER-0000000001
    Processor: KSTREAM-FILTER-0000000001 (stores: [])
      --> KSTREAM-SINK-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Sink: KSTREAM-SINK-0000000002 (extractor class: <class>)
      <-- KSTREAM-FILTER-0000000001

`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			test.build(Source(b, "in", serde.String, serde.String))
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.NewReplacer(test.names...).Replace(topo.Describe().String()); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestDOT(t *testing.T) {
	t.Parallel()
	b := New()
	GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Window(Tumbling(time.Minute)).Count("n").Stream().To("out")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	const want = `digraph topology {
  rankdir=LR;
  node [shape=box];
  subgraph cluster_0 {
    label="sub-topology 0";
    "node in-source" [label="source\nin-source"];
    "node n" [label="count\nn"];
    "node n-stream" [label="stream\nn-stream"];
    "node out-sink" [label="sink\nout-sink"];
    "store n" [label="n" shape=cylinder];
  }
  "topic in" [label="in" shape=ellipse];
  "topic in" -> "node in-source";
  "node in-source" -> "node n";
  "node n" -> "node n-stream";
  "node n" -> "store n" [dir=both style=dashed];
  "node n-stream" -> "node out-sink";
  "topic out" [label="out" shape=ellipse];
  "node out-sink" -> "topic out";
}
`
	if got := topo.Describe().DOT(); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := (Description{}).String(); got != "Topologies:\n " {
		t.Errorf("the zero Description is %q", got)
	}
}
