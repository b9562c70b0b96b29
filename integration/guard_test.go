package integration

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// releases runs releases of one application, whose topologies differ.
type releases struct {
	c               *cluster
	application, in string
	empty           []string // Config.StartEmpty
	guarantee       millrace.Guarantee
}

func (c *cluster) releases(t *testing.T) *releases {
	r := &releases{c: c, application: name(t, "app"), in: name(t, "in")}
	c.createTopic(t, r.in, 1)
	c.cleanUp(t, r.application)
	return r
}

// release builds a topology on its input, which has strings as keys and values.
type release func(in topology.Stream[string, string])

func windowsOf(size time.Duration) release {
	return func(in topology.Stream[string, string]) {
		topology.GroupByKey(in, "by-key").Window(topology.Hopping(size, 5*time.Second)).Count("counts")
	}
}

func aggregateOf[A any](as serde.Serde[A]) release {
	return func(in topology.Stream[string, string]) {
		topology.Aggregate(topology.GroupByKey(in, "by-key"), "latest", func() (a A) { return a },
			func(a A, _ processor.Record[string, string]) A { return a }, as)
	}
}

func withoutStores(in topology.Stream[string, string]) {
	in.ForEach(func(processor.Record[string, string]) error { return nil })
}

// run sends a record and runs a release until it has committed all input, or ends by
// itself. An empty dir stands for a pod without a volume.
func (r *releases) run(t *testing.T, of release, dir string, remove ...string) error {
	t.Helper()
	b := topology.New()
	of(topology.Source(b, r.in, serde.String, serde.String))
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "state")
	}
	app, err := millrace.New(built, millrace.Config{ApplicationID: r.application, Brokers: []string{r.c.brokers}, StateDir: dir,
		Guarantee: r.guarantee, RemoveStores: remove, StartEmpty: r.empty,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.c.client(t).ProduceSync(t.Context(), &kgo.Record{Topic: r.in, Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return r.c.finish(t, app, r.application, r.in)
}

func (r *releases) starts(t *testing.T, of release, dir string, remove ...string) {
	t.Helper()
	if err := r.run(t, of, dir, remove...); err != nil {
		t.Fatal(err)
	}
}

func (r *releases) refused(t *testing.T, of release, parts ...string) {
	t.Helper()
	err := r.run(t, of, "")
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
}

// TestEmptyDirectoryIsRefused: the application compares the topology with Kafka's record
// of the stores, so a changed topology is refused without a disk too.
func TestEmptyDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for name, change := range map[string]struct {
		before, now release
		parts       []string
	}{
		"windows": {windowsOf(time.Minute), windowsOf(30 * time.Second), []string{"counts", "windows of 1m0s", "windows of 30s"}},
		"values":  {aggregateOf(serde.JSON[map[string]int]()), aggregateOf(serde.Int64), []string{"latest", "json", "int64"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.releases(t)
			r.starts(t, change.before, "")
			r.refused(t, change.now, change.parts...)
			r.starts(t, change.before, "")
		})
	}
}

// TestRemovedStore: a release that added a store is rolled back, and released again.
func TestRemovedStore(t *testing.T) {
	t.Parallel()
	r := kafka(t).releases(t)
	dir := filepath.Join(t.TempDir(), "state")
	r.starts(t, windowsOf(time.Minute), dir)
	r.refused(t, withoutStores, "counts", "Config.RemoveStores to counts")
	r.starts(t, withoutStores, dir, "counts")
	topics, err := r.c.admin(t).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if topics.Has(r.application + "-counts-changelog") {
		t.Error("the changelog of the removed store is still there")
	}
	r.starts(t, withoutStores, "")
	r.refused(t, windowsOf(30*time.Second), "store counts would start empty", r.in, "Config.StartEmpty to counts")
	// the store is new, so its windows may differ
	r.empty = []string{"counts"}
	r.starts(t, windowsOf(30*time.Second), dir)
	r.refused(t, windowsOf(time.Minute), "counts")
}

// TestNewStore: a store that is added over processed input is refused until it is
// accepted by name, once.
func TestNewStore(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			r := c.releases(t)
			r.guarantee = guarantee
			r.starts(t, withoutStores, "")
			r.refused(t, windowsOf(time.Minute), "store counts would start empty", r.in, "Config.StartEmpty to counts")
			r.starts(t, withoutStores, "")
			r.empty = []string{"counts"}
			r.starts(t, windowsOf(time.Minute), "")
			r.empty = nil
			r.starts(t, windowsOf(time.Minute), "")
		})
	}
}
