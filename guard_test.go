package millrace_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// versions runs versions of an application one after the other.
type versions struct {
	*cluster
	t     *testing.T
	app   string
	log   *logged
	store string // the store that must hold a row before a run is stopped; may be empty

	guarantee millrace.Guarantee
	empty     []string // Config.StartEmpty
}

func newVersions(t *testing.T) *versions {
	return &versions{cluster: newCluster(t, kfake.SeedTopics(1, "in", "out", "out2")), t: t, app: "app", log: &logged{}}
}

// version is a topology that reads "in", which has strings as keys and values.
type version func(in topology.Stream[string, string])

// build makes the topology. It also copies all records to "out", so a version without
// stores is a topology as well, and a test sees when a record was processed.
func (v *versions) build(of version) *topology.Topology {
	v.t.Helper()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	in.To("out")
	of(in)
	return build(v.t, b)
}

// config returns the configuration of a process with its own state directory. remove is
// Config.RemoveStores.
func (v *versions) config(dir string, remove ...string) millrace.Config {
	cfg := v.cluster.config(v.app, dir)
	cfg.Guarantee, cfg.RemoveStores, cfg.StartEmpty = v.guarantee, remove, v.empty
	cfg.Logger = slog.New(slog.NewTextHandler(v.log, nil))
	return cfg
}

// starts runs a version until it has processed one more record with the key "k", or none
// if value is "".
func (v *versions) starts(of version, dir, value string, remove ...string) {
	v.t.Helper()
	app := run(v.t, v.build(of), v.config(dir, remove...))
	eventually(v.t, "it runs", func() bool {
		select {
		case <-app.done:
			v.t.Fatalf("it does not start: %v", app.err)
		default:
		}
		return app.Snapshot().State == millrace.Running
	})
	if value != "" {
		end := v.PartitionInfo("in", 0).HighWatermark
		v.send("in", "k="+value)
		eventually(v.t, "the record is committed", func() bool { return v.committed(v.app, "in", 0) > end })
	}
	if v.store != "" {
		v.read(v.app+"-"+v.store+"-changelog", 1)
	}
	app.stop()
}

// refused starts a version, which must be refused with an error that has all the parts.
func (v *versions) refused(of version, dir string, parts ...string) {
	v.t.Helper()
	checkRefused(v.t, run(v.t, v.build(of), v.config(dir)).wait(), parts...)
}

func checkRefused(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v\nwant an error with %q", err, part)
		}
	}
}

func none(topology.Stream[string, string]) {}

func countsIn(w topology.Windows) version {
	return func(in topology.Stream[string, string]) { topology.GroupByKey(in, "by-key").Window(w).Count("counts") }
}

func aggregate[A any](as serde.Serde[A], opts ...topology.TableOption) version {
	return func(in topology.Stream[string, string]) {
		topology.Aggregate(topology.GroupByKey(in, "by-key"), "agg", func() (a A) { return a },
			func(a A, _ processor.Record[string, string]) A { return a }, as, opts...)
	}
}

func count(name string, opts ...topology.TableOption) version {
	return func(in topology.Stream[string, string]) { topology.GroupByKey(in, "by-key").Count(name, opts...) }
}

// keeper puts each record into a store of its own.
type keeper[K, V any] struct {
	spec  state.Spec[K, V]
	entry func(processor.Record[string, string]) (K, V)
	store state.KeyValueStore[K, V]
}

func (k *keeper[K, V]) Init(ctx processor.Context[string, string]) error {
	k.store = state.Open(ctx, k.spec)
	return nil
}

func (k *keeper[K, V]) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	key, value := k.entry(r)
	return k.store.Put(key, value)
}

func keeps[K, V any](spec state.Spec[K, V], entry func(processor.Record[string, string]) (K, V)) version {
	return func(in topology.Stream[string, string]) {
		topology.Process(in, "keep", func() processor.Processor[string, string, string, string] {
			return &keeper[K, V]{spec: spec, entry: entry}
		}, serde.String, serde.String, spec)
	}
}

func textToText(r processor.Record[string, string]) (string, string) { return r.Key, r.Value }

func textToNumber(r processor.Record[string, string]) (string, int64) {
	return r.Key, int64(len(r.Value))
}

func numberToText(r processor.Record[string, string]) (int64, string) {
	return int64(len(r.Key)), r.Value
}

func lengths[A any](as serde.Serde[A]) version {
	return func(in topology.Stream[string, string]) {
		var zero A
		batch.AggregateByKey(batch.Every(in, "every", 100*time.Millisecond), "lengths", func() A { return zero },
			func(a A, _ string) A { return a }, func(a, _ A) A { return a }, as)
	}
}

func counted[K comparable](of func(string) K, ks serde.Serde[K]) version {
	return func(in topology.Stream[string, string]) {
		batch.CountByValue(batch.MapValues(batch.Every(in, "every", 100*time.Millisecond), of, ks), "values")
	}
}

// A start is refused in the same way with the disk of the previous version and with an
// empty directory.
func TestChangedMeaningIsRefused(t *testing.T) {
	t.Parallel()
	type point struct{ X int }
	for _, c := range []struct {
		name        string
		before, now version
		parts       []string
	}{
		{"size of windows", countsIn(topology.Hopping(time.Minute, 5*time.Second)), countsIn(topology.Hopping(30*time.Second, 5*time.Second)),
			[]string{"counts", "30s", "1m0s"}},
		{"advance of windows", countsIn(topology.Hopping(time.Minute, 5*time.Second)), countsIn(topology.Hopping(time.Minute, 10*time.Second)),
			[]string{"counts", "every 5s", "every 10s"}},
		{"windows added", count("counts"), countsIn(topology.Tumbling(time.Minute)), []string{"counts", "key-value store", "window store"}},
		{"values", aggregate(serde.JSON[point]()), aggregate(serde.Int64), []string{"agg", "json", "int64"}},
		{"values of a processor's store", keeps(state.KeyValue("own", serde.String, serde.String), textToText),
			keeps(state.KeyValue("own", serde.String, serde.Int64), textToNumber), []string{"own", "string", "int64"}},
		{"keys of a processor's store", keeps(state.KeyValue("own", serde.String, serde.String), textToText),
			keeps(state.KeyValue("own", serde.Int64, serde.String), numberToText), []string{"own", "string", "int64"}},
		{"values of a batch's store", lengths(serde.String), lengths(serde.Int64), []string{"lengths", "string", "int64"}},
		{"keys of a batch's store", counted(strings.ToUpper, serde.String), counted(func(s string) int64 { return int64(len(s)) }, serde.Int64),
			[]string{"values", "pane key of string", "pane key of int64"}},
		{"renamed", count("counts"), count("totals"), []string{"counts", "gone", "Config.RemoveStores"}},
		{"removed", count("counts"), none, []string{"counts", "gone", "Config.RemoveStores to counts"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newVersions(t)
			v.store = c.parts[0]
			disk := t.TempDir()
			v.starts(c.before, disk, "some")
			v.refused(c.now, disk, c.parts...)
			v.refused(c.now, t.TempDir(), c.parts...)
			v.starts(c.before, disk, "more")
			v.starts(c.before, t.TempDir(), "more")
		})
	}
}

// Retention and grace may change: they only decide how long rows are kept.
func TestRetentionMayChange(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	for _, grace := range []time.Duration{time.Second, time.Hour, 0} {
		v.starts(countsIn(topology.Tumbling(time.Minute).Grace(grace)), disk, "more")
		v.starts(countsIn(topology.Tumbling(time.Minute).Grace(grace)), t.TempDir(), "more")
	}
}

// An empty store may change in any way.
func TestEmptyStoreDoesNotBind(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]version{"removed": none, "renamed": count("totals"), "changed": countsIn(topology.Tumbling(time.Minute))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVersions(t)
			disk := t.TempDir()
			v.starts(count("counts"), disk, "")
			v.starts(now, disk, "")
			v.starts(count("counts"), disk, "")
			v.starts(now, t.TempDir(), "some")
		})
	}
}
