package topologytest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// initFails is a processor that cannot be initialized: its Init panics if err is nil.
type initFails struct{ err error }

func (p initFails) Init(timeless) error            { return errors.Join(p.err, p.panics()) }
func (p initFails) Process(timeless, record) error { return nil }

func (p initFails) panics() error {
	if p.err == nil {
		panic("no Init today")
	}
	return nil
}

func TestTryNewReturnsErrors(t *testing.T) {
	t.Parallel()
	failing := func(err error) *topology.Topology {
		b := topology.New()
		topology.Process(topology.Source(b, "in", serde.String, serde.String), "p", func() *initFails { return &initFails{err} }, serde.String, serde.String)
		return build(t, b)
	}
	for _, test := range []struct {
		want string
		topo *topology.Topology
		opts []topologytest.Option
	}{
		{"node p: method Init: this is poison", failing(errPoison), nil},
		{"node p: method Init: panic: no Init today", failing(nil), nil},
		{"topolog", nil, nil},
		{`option Partitions: there is no topic "im"`, wordCount(t), []topologytest.Option{topologytest.Partitions("im", 2)}},
		{`option MaxMessageBytes: there is no topic "im"`, wordCount(t), []topologytest.Option{topologytest.MaxMessageBytes("im", 2)}},
	} {
		d, err := topologytest.TryNew(t, test.topo, test.opts...)
		if d != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("driver %v, error %v, want %q", d, err, test.want)
		}
	}
	if _, err := topologytest.TryNew(t, failing(errPoison)); !errors.Is(err, errPoison) {
		t.Errorf("error %v does not wrap the cause", err)
	}
	text := fatal(t, func(tb testing.TB) { topologytest.New(tb, failing(errPoison)) })
	if !strings.Contains(text, "method Init: this is poison") {
		t.Errorf("New failed with %q", text)
	}
}

// TestTopicsThatExist: internal topics, dead letter topics, and topics that a function
// has chosen or the test has declared can be read and written.
func TestTopicsThatExist(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	in.ToTopic(func(r record) string { return r.Value })
	topology.GroupByKey(in, "by-key").Count("counts")
	topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).Count("values")
	d := topologytest.New(t, build(t, b), topologytest.Topics("declared"), topologytest.MaxMessageBytes("declared", 1000),
		topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "letters"}))
	chosen := topologytest.Output(d, "chosen", serde.String, serde.String)
	topologytest.Input(d, "in", serde.String, serde.String).Send("k", "chosen", start)
	want(t, lines(chosen.Records()), "k=chosen")
	for topic, records := range map[string]int{
		"in": 1, "chosen": 1, "declared": 0, "letters": 0, "test-counts-changelog": 1, "test-by-value-repartition": 1,
	} {
		if got := len(d.Topic(topic)); got != records {
			t.Errorf("topic %s has %d records, want %d", topic, got, records)
		}
	}
	text := fatal(t, func(tb testing.TB) {
		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String).ToTopic(func(r record) string { return r.Value })
		topologytest.Output(topologytest.New(tb, build(t, b)), "chozen", serde.String, serde.String).Records()
	})
	if !strings.Contains(text, `there is no topic "chozen"`) {
		t.Errorf("the test failed with %q", text)
	}
}
