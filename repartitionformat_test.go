package millrace_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// lengthsBy sends the lengths of the values, in a format, through a repartition topic.
func lengthsBy[V int64 | float64](vs serde.Serde[V]) version {
	return func(in topology.Stream[string, string]) {
		lengths := topology.MapValues(in, func(v string) V { return V(len(v)) }, vs)
		topology.Repartition(lengths, "lengths").To("out2")
	}
}

// withOwners joins the records of the input with themselves, by a foreign key. The values
// of the right table have a format.
func withOwners[V int64 | float64](vs serde.Serde[V]) version {
	return func(in topology.Stream[string, string]) {
		owners := topology.MapValues(in, func(v string) V { return V(len(v)) }, vs).ToTable("owners")
		topology.JoinForeign(in.ToTable("items"), owners, "owned", func(v string) (string, bool) { return v, true }, func(string, V) string { return "" }, serde.String)
	}
}

// Records of a repartition topic that are not processed are not read in another format.
// When they are processed, the format may change.
func TestChangedFormatOfRepartitionTopic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, now version
		topic       string
		parts       []string
	}{
		"repartition": {lengthsBy(serde.Int64), lengthsBy(serde.Float64), "app-lengths-repartition",
			[]string{"repartition topic app-lengths-repartition has records of string to int64", "records of string to float64", "until it has no lag"}},
		"responses": {withOwners(serde.Int64), withOwners(serde.Float64), "app-owned-subscription-response-topic",
			[]string{"app-owned-subscription-response-topic has records of string to responses of int64"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVersions(t)
			v.starts(c.before, t.TempDir(), "first")
			one, err := serde.Int64.Append(nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			left := &kgo.Record{Topic: c.topic, Key: []byte("k"), Value: one}
			if err := v.cl.ProduceSync(t.Context(), left).FirstErr(); err != nil {
				t.Fatal(err)
			}
			v.refused(c.now, t.TempDir(), c.parts...)
			if name != "repartition" {
				return // the record is no response
			}
			end := v.PartitionInfo(c.topic, 0).HighWatermark
			app := run(t, v.build(c.before), v.config(t.TempDir()))
			eventually(t, "the record is processed", func() bool { return v.committed(v.app, c.topic, 0) >= end })
			app.stop()
			v.starts(c.now, t.TempDir(), "second")
			v.read("out2", 3)
		})
	}
}
