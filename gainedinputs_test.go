package millrace_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// The topology of each version reads "in", and perhaps "more".

func more(in topology.Stream[string, string]) topology.Stream[string, string] {
	return topology.Source(in.Builder(), "more", serde.String, serde.String)
}

func countMore(in topology.Stream[string, string])      { count("counts")(more(in)) }
func countBoth(in topology.Stream[string, string])      { count("counts")(in.Merge(more(in))) }
func countValues(in topology.Stream[string, string])    { countByValue(more(in)) }
func countAllValues(in topology.Stream[string, string]) { countByValue(in.Merge(more(in))) }

// copyMore processes "more" beside the store.
func copyMore(in topology.Stream[string, string]) {
	count("counts")(in)
	more(in).To("out2")
}

// sharing gives one store to processors of some of the streams.
func sharing(both bool) version {
	own := state.KeyValue("own", serde.String, serde.String)
	return func(in topology.Stream[string, string]) {
		newP := func() processor.Processor[string, string, string, string] {
			return &keeper[string, string]{spec: own, entry: textToText}
		}
		topology.Process(more(in), "keep-more", newP, serde.String, serde.String, own)
		if both {
			topology.Process(in, "keep-in", newP, serde.String, serde.String, own)
		}
	}
}

// sendMore sends a record to "more", and waits until it has been processed.
func (v *versions) sendMore(of version, dir string) {
	v.t.Helper()
	app := run(v.t, v.build(of), v.config(dir))
	end := v.PartitionInfo("more", 0).HighWatermark
	record := &kgo.Record{Topic: "more", Key: []byte("k"), Value: []byte("v")}
	if err := v.cl.ProduceSync(v.t.Context(), record).FirstErr(); err != nil {
		v.t.Fatal(err)
	}
	eventually(v.t, "the record of more is committed", func() bool { return v.committed(v.app, "more", 0) > end })
	app.stop()
}

// An existing store that gets another input is refused if records of that input were
// processed elsewhere. If it is named once, it goes on without them.
func TestStoreGainsAProcessedInput(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, c := range []struct {
			name        string
			before, now version
			store       string
		}{
			{"merged", countMore, countBoth, "counts"},
			{"merged in front of a repartition topic", countValues, countAllValues, "values"},
			{"a second processor", sharing(false), sharing(true), "own"},
		} {
			t.Run(fmt.Sprint(c.name, " ", guarantee), func(t *testing.T) {
				t.Parallel()
				v := newVersions(t)
				v.guarantee = guarantee
				v.create("more", 1)
				disk := t.TempDir()
				v.starts(c.before, disk, "some")
				v.sendMore(c.before, disk)
				for range 2 {
					v.refused(c.now, disk, "store "+c.store+" gets records of in from now on", "new inputs, set Config.StartEmpty to "+c.store)
					v.refused(c.now, t.TempDir(), "store "+c.store+" gets records of in from now on")
				}
				v.starts(c.before, disk, "more")
				v.accepting([]string{c.store}, func() { v.starts(c.now, disk, "") })
				v.starts(c.now, disk, "again")
				v.starts(c.now, t.TempDir(), "again")
			})
		}
	}
}

// An input that the application has never read is no reason to refuse a store. Nor is one
// that comes back after a rollback to a version that did not read it. A version that has
// processed its records elsewhere is a reason.
func TestStoreGainsAnUnprocessedInput(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.create("more", 1)
	disk := t.TempDir()
	v.starts(count("counts"), disk, "some")
	v.starts(countBoth, disk, "more")
	v.sendMore(countBoth, disk)
	v.starts(count("counts"), disk, "rolled back")
	v.starts(countBoth, disk, "and out again")
	v.sendMore(copyMore, disk)
	v.refused(countBoth, disk, "store counts gets records of more from now on")
}
