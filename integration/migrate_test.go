package integration

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// sumsTo counts the records of each key in numbers of a type, and sends the counts to a
// topic as text. A versioned table keeps the earlier counts.
func sumsTo[V int64 | float64](topic string, vs serde.Serde[V], migrations ...topology.MigrateOption) release {
	opts, versions := []topology.TableOption{}, []topology.ToTableOption{topology.Versioned(time.Hour)}
	for _, m := range migrations {
		opts, versions = append(opts, m), append(versions, m)
	}
	return func(in topology.Stream[string, string]) {
		sums := topology.Aggregate(topology.GroupByKey(in, "by-key"), "sums", func() V { return 0 },
			func(sum V, _ processor.Record[string, string]) V { return sum + 1 }, vs, opts...)
		sums.Stream().ToTable("versions", versions...)
		topology.MapValues(sums.Stream(), func(v V) string { return fmt.Sprint(v) }, serde.String).To(topic)
	}
}

// TestMigration: a release with other values continues with the rows of the release
// before, with its disk and without one. A rollback is refused. When all rows are
// converted, a release needs the old values no longer.
func TestMigration(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, disk := range []string{"kept", "lost"} {
			t.Run(fmt.Sprintf("%v/disk %s", guarantee, disk), func(t *testing.T) {
				r := c.releases(t)
				r.guarantee = guarantee
				out := name(t, "out")
				c.createTopic(t, out, 1)
				dir := ""
				if disk == "kept" {
					dir = filepath.Join(t.TempDir(), "state")
				}
				// An int64 and a float64 have eight bytes each. The half shows that a row
				// was converted, and only once.
				half := func(v int64) float64 { return float64(v) + 0.5 }
				ints, floats := sumsTo(out, serde.Int64), sumsTo(out, serde.Float64, topology.Migrate(serde.Int64, half))
				const keys = 500
				r.oneOfEach(t, keys)
				r.starts(t, ints, dir)
				r.refused(t, sumsTo(out, serde.Float64), "store sums had values of format int64 and has now float64")
				r.refused(t, sumsTo(out, serde.Float64, topology.Migrated(1)), "store sums may have rows of the formats before 1 in partitions 0")
				r.starts(t, floats, dir)
				r.refused(t, ints, "store sums has rows of format 1 (float64)", "run the version of the program that has format 1")
				r.starts(t, floats, dir)

				r.oneOfEach(t, keys)
				finished := false
				for range 10 { // the end of the migration is recorded in the background
					if err := r.run(t, sumsTo(out, serde.Float64, topology.Migrated(1)), ""); err == nil {
						finished = true
						break
					}
					r.starts(t, floats, dir)
				}
				if !finished {
					t.Error("the migration does not end")
				}
				last := map[string]string{}
				c.committed(t, out, func(rec *kgo.Record) { last[string(rec.Key)] = string(rec.Value) })
				for i := range keys {
					if key := fmt.Sprint(i); last[key] != "2.5" {
						t.Fatalf("key %s has %s", key, last[key])
					}
				}
			})
		}
	}
}

// oneOfEach sends a record of each of some keys.
func (r *releases) oneOfEach(t *testing.T, keys int) {
	t.Helper()
	records := make([]*kgo.Record, keys)
	for i := range records {
		records[i] = &kgo.Record{Topic: r.in, Key: fmt.Append(nil, i), Value: []byte("v")}
	}
	if err := r.c.client(t).ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
