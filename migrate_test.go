package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// lengthsIn adds the lengths of the values of each key, in numbers of a type, in a table
// and in the store of a processor. Each sum is sent to "out2".
func lengthsIn[V int64 | float64](vs serde.Serde[V], table []topology.TableOption, own ...state.Option) version {
	return func(in topology.Stream[string, string]) {
		sums := topology.Aggregate(topology.GroupByKey(in, "by-key"), "sums", func() V { return 0 },
			func(sum V, r processor.Record[string, string]) V { return sum + V(len(r.Value)) }, vs, table...)
		topology.MapValues(sums.Stream(), func(v V) string { return fmt.Sprint("sum ", v) }, serde.String).To("out2")
		spec := state.KeyValue("own", serde.String, vs, own...)
		topology.Process(in, "own", func() *summer[V] { return &summer[V]{spec: spec} }, serde.String, serde.String, spec).To("out2")
	}
}

type summer[V int64 | float64] struct {
	spec state.Spec[string, V]
	sums state.KeyValueStore[string, V]
}

func (s *summer[V]) Init(ctx processor.Context[string, string]) error {
	s.sums = state.Open(ctx, s.spec)
	return nil
}

func (s *summer[V]) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	sum, _, err := s.sums.Get(r.Key)
	if err != nil {
		return err
	}
	sum += V(len(r.Value))
	ctx.Forward(processor.Record[string, string]{Key: r.Key, Value: fmt.Sprint("own ", sum), Timestamp: r.Timestamp})
	return s.sums.Put(r.Key, sum)
}

// half adds 0.5, so that a test sees whether a row was converted, and how often.
func half(v int64) float64 { return float64(v) + 0.5 }

var (
	inInts     = lengthsIn(serde.Int64, nil)
	inFloats   = lengthsIn(serde.Float64, []topology.TableOption{topology.Migrate(serde.Int64, half)}, state.Migrate(serde.Int64, half))
	lackFloats = lengthsIn(serde.Float64, nil)
	onlyFloats = lengthsIn(serde.Float64, []topology.TableOption{topology.Migrated(1)}, state.Migrated(1))
	// The second change is back to int64.
	inIntsAgain = lengthsIn(serde.Int64, []topology.TableOption{topology.Migrated(1), topology.Migrate(serde.Float64, thrice)},
		state.Migrate(serde.Int64, half), state.Migrate(serde.Float64, thrice))
)

func thrice(v float64) int64 { return int64(3 * v) }

// migrated waits until the log says that the stores of lengthsIn are converted.
func (v *versions) migrated(format int) {
	v.t.Helper()
	for _, store := range []string{"sums", "own"} {
		eventually(v.t, "the end of the migration is recorded", func() bool {
			return v.log.has("the end of a migration is recorded", "store="+store, "partition=0", "format="+strconv.Itoa(format))
		})
	}
}

// A program with another type of values continues with the rows of the version before,
// with its disk and without, and nothing else does.
func TestMigration(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/lost disk %v", guarantee, lost), func(t *testing.T) {
				t.Parallel()
				v := newVersions(t)
				v.guarantee = guarantee
				kept := t.TempDir()
				disk := func() string {
					if lost {
						return t.TempDir()
					}
					return kept
				}
				var want []string
				sent := func(sum, own string) {
					t.Helper()
					want = append(want, "k=sum "+sum, "k=own "+own)
					got := v.read("out2", len(want))
					slices.Sort(got[len(got)-2:])
					slices.Sort(want[len(want)-2:])
					if !slices.Equal(got, want) {
						t.Fatalf("got %q, want %q", got, want)
					}
				}
				v.starts(inInts, disk(), "two")
				sent("3", "3")
				v.refused(lackFloats, disk(), "store own had values of format int64 and has now float64", "store sums had", "topology.Migrate")
				v.refused(onlyFloats, disk(), "store sums may have rows of the formats before 1 in partitions 0", "store own may have rows")

				v.starts(inFloats, disk(), "four")
				sent("7.5", "7.5")
				for _, dir := range []string{disk(), t.TempDir()} {
					v.refused(inInts, dir, "store sums has rows of format 1 (float64), and the newest format of this topology is 0 (int64)", "store own has rows")
					v.refused(lackFloats, dir, "store sums has rows of format 1 (float64)", "has lost 1 of their Migrate options")
				}
				app := run(t, v.build(inFloats), v.config(disk()))
				v.migrated(1)
				app.stop()

				v.starts(onlyFloats, disk(), "six")
				sent("10.5", "10.5")
				v.starts(inIntsAgain, disk(), "eight")
				sent("36", "36")
				v.refused(inFloats, disk(), "store sums has rows of format 2 (int64)")
				v.refused(inIntsWith(serde.String), disk(), "store sums has rows whose format 1 was float64 and is now string")
			})
		}
	}
}

// inIntsWith is inIntsAgain with another serde for format 1.
func inIntsWith(of serde.Serde[string]) version {
	number := func(string) int64 { return 0 }
	return lengthsIn(serde.Int64, []topology.TableOption{topology.Migrated(1), topology.Migrate(of, number)},
		state.Migrated(1), state.Migrate(of, number))
}

// migrations is a hook.
type migrations struct {
	mu   sync.Mutex
	told []millrace.Migrated
}

func (m *migrations) OnMigrated(e millrace.Migrated) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, e)
}

// Queries see converted values, and the hook is told when all rows are converted, even if
// no record comes.
func TestMigrationWithoutRecords(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	v.starts(inInts, disk, "two")
	hook := &migrations{}
	cfg := v.config(disk)
	cfg.Hooks = append(cfg.Hooks, hook)
	app := run(t, v.build(inFloats), cfg)
	v.migrated(1)
	got, ok, err := millrace.Get(context.Background(), app.App, state.KeyValue("own", serde.String, serde.Float64), "k")
	if got != 3.5 || !ok || err != nil {
		t.Errorf("a query finds %v, %v, %v", got, ok, err)
	}
	app.stop()
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if len(hook.told) != 2 {
		t.Fatalf("the hook was told %+v", hook.told)
	}
	for _, m := range hook.told {
		if m.Format != 1 || m.Rows != 1 || m.Task.Partition != 0 {
			t.Errorf("the hook was told %+v", m)
		}
	}
}

// The values of a store without a changelog are converted too.
func TestMigrationWithoutChangelog(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	noLog, ownNoLog := topology.WithoutChangelog(), state.WithoutChangelog()
	before := lengthsIn(serde.Int64, []topology.TableOption{noLog}, ownNoLog)
	now := lengthsIn(serde.Float64, []topology.TableOption{noLog, topology.Migrate(serde.Int64, half)}, ownNoLog, state.Migrate(serde.Int64, half))
	v.starts(before, disk, "two")
	v.refused(lengthsIn(serde.Float64, []topology.TableOption{noLog}, ownNoLog), disk, "sums", "int64", "float64")
	v.starts(now, disk, "four")
	v.starts(now, disk, "six")
	v.refused(before, disk, "store sums has rows of format 1")
	got := v.read("out2", 6)
	if text := strings.Join(got, ","); !strings.Contains(text, "own 10.5") || !strings.Contains(text, "sum 10.5") {
		t.Errorf("got %q", got)
	}
}
