package integration

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// lengthsTo sends the lengths of the values to a topic, in a format, through a
// repartition topic.
func lengthsTo[V int64 | float64](topic string, vs serde.Serde[V]) release {
	return func(in topology.Stream[string, string]) {
		lengths := topology.MapValues(in, func(v string) V { return V(len(v)) }, vs)
		topology.Repartition(lengths, "lengths").To(topic)
	}
}

// TestChangedFormatOfRepartitionTopic: a release that would misread records of a
// repartition topic is refused until the release before has processed them.
func TestChangedFormatOfRepartitionTopic(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	r := c.releases(t)
	out := name(t, "out")
	c.createTopic(t, out, 1)
	ints, floats := lengthsTo(out, serde.Int64), lengthsTo(out, serde.Float64)
	r.oneOfEach(t, 10)
	r.starts(t, ints, "")
	one, err := serde.Int64.Append(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	waits := &kgo.Record{Topic: r.application + "-lengths-repartition", Key: []byte("k"), Value: one}
	if err := r.c.client(t).ProduceSync(t.Context(), waits).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r.refused(t, floats, "has records of string to int64 that are not processed yet", "records of string to float64")
	for range 10 { // a release may stop before it has read what it has sent last
		r.starts(t, ints, "")
		if err = r.run(t, floats, ""); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	r.oneOfEach(t, 10)
	r.starts(t, floats, "")
}
