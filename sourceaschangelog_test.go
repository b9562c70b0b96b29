package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// tidy is a serde of strings that cannot decode the text "bad".
type tidy struct{}

func (tidy) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (tidy) Decode(data []byte) (string, error) {
	if string(data) == "bad" {
		return "", errors.New("it is bad")
	}
	return string(data), nil
}

// usersTable reads "users" as a table, which is its changelog.
func usersTable(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, string] {
	return topology.SourceTable[string, string](b, "users", serde.String, tidy{}, append(opts, topology.SourceAsChangelog())...)
}

// asking joins the records of "in" with users. "?" stands for a user that is not there.
func asking(t testing.TB, table func(*topology.Builder, ...topology.SourceTableOption) topology.Table[string, string]) *topology.Topology {
	b := topology.New()
	asked := topology.LeftJoin(topology.Source(b, "in", serde.String, serde.String), table(b), func(in, user string, ok bool) string {
		if !ok {
			return in + "?"
		}
		return in + user
	}, serde.String)
	asked.To("out")
	return build(t, b)
}

// skipping makes dead letters of records that cannot be decoded.
func skipping(cfg millrace.Config) millrace.Config {
	cfg.Errors = processor.ErrorPolicy{Decode: processor.DeadLetter, DeadLetterTopic: "dead"}
	return cfg
}

// withUsers creates the compacted topic "users" and the others.
func (c *cluster) withUsers() *cluster {
	c.t.Helper()
	// kfake deletes by time from compacted topics too.
	if err := c.CreateTopic("users", 1, map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// user writes a record of the topic "users" at a second. The value "-" is a deletion.
func (c *cluster) user(key, value string, at int) {
	c.t.Helper()
	r := &kgo.Record{Topic: "users", Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(int64(at) * 1000)}
	if value == "-" {
		r.Value = nil
	}
	if key == "" {
		r.Key = nil
	}
	if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// handled waits until the application has committed all records of "users".
func (c *cluster) handled(n int64) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d records of users are committed", n), func() bool { return c.committed("app", "users", 0) == n })
}

// answers asks for keys, which come after the n answers so far, and returns the new ones.
func (c *cluster) answers(n int, keys ...string) []string {
	c.t.Helper()
	for _, key := range keys {
		c.produce("in", key, "", 99*time.Second)
	}
	return c.read("out", n+len(keys))[n:]
}

// TestSourceAsChangelogLosesDisks restores a table from its topic: from a disk that was
// kept, one that is older, and none. Records that were skipped are skipped again, without
// another dead letter.
func TestSourceAsChangelogLosesDisks(t *testing.T) {
	t.Parallel()
	for _, g := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, memory := range []bool{false, true} {
			t.Run(fmt.Sprint(g, memory), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, kfake.SeedTopics(1, "in", "out", "dead")).withUsers()
				topo := asking(t, func(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, string] {
					if memory {
						opts = append(opts, topology.InMemory())
					}
					return usersTable(b, opts...)
				})
				dir, stale := t.TempDir(), t.TempDir()
				cfg := func(dir string) millrace.Config {
					cfg := skipping(c.config("app", dir))
					cfg.Guarantee = g
					return cfg
				}
				app := run(t, topo, cfg(dir))
				c.user("ann", "Ann", 1)
				c.user("bob", "Bob", 2)
				c.user("cid", "Cid", 3)
				c.user("ann", "bad", 4)
				c.user("", "nobody", 5)
				c.handled(5)
				app.stop()
				if err := os.CopyFS(stale, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				app = run(t, topo, cfg(dir))
				c.user("bob", "-", 6)
				c.user("cid", "Cyd", 7)
				c.user("dan", "bad", 8)
				c.user("eve", "Eve", 9)
				c.handled(9)
				app.stop()
				want := []string{"ann=Ann", "bob=?", "cid=Cyd", "dan=?", "eve=Eve"}
				asked := 0
				for _, disk := range []struct{ name, dir string }{{"stale", stale}, {"lost", t.TempDir()}, {"kept", dir}} {
					app := run(t, topo, cfg(disk.dir))
					if got := c.answers(asked, "ann", "bob", "cid", "dan", "eve"); !slices.Equal(got, want) {
						t.Errorf("%s disk: got %q, want %q", disk.name, got, want)
					}
					asked += len(want)
					app.stop()
				}
				if letters := c.records("dead"); len(letters) != 2 {
					t.Errorf("there are %d dead letters, want 2", len(letters))
				}
				if c.TopicInfo("app-users-changelog") != nil {
					t.Error("the table has a changelog of its own")
				}
			})
		}
	}
}

// A restore ends at the committed offset, and not at the end of the topic.
func TestSourceAsChangelogEndsAtTheOffset(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.withUsers()
	topo := asking(t, usersTable)
	app := run(t, topo, v.config(t.TempDir()))
	v.user("ann", "Ann", 1)
	v.user("ann", "Anna", 3)
	v.handled(2)
	app.stop()
	v.setOffset("users", 1)
	v.produce("in", "ann", "", 2*time.Second) // before the second record
	app = run(t, topo, v.config(t.TempDir()))
	if got := v.read("out", 1); got[0] != "ann=Ann" {
		t.Errorf("got %q: the row of a record that was not processed yet was found", got)
	}
	if got := v.answers(1, "ann"); got[0] != "ann=Anna" {
		t.Errorf("got %q", got)
	}
	app.stop()
}

// Compaction has removed a row whose next record was not processed. The row comes with
// that record, and a warning says so.
func TestSourceAsChangelogBehindCompaction(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.withUsers()
	topo := asking(t, usersTable)
	app := run(t, topo, v.config(t.TempDir()))
	v.user("ann", "Ann", 1)
	v.user("bob", "Bob", 2)
	v.handled(2)
	app.stop()
	v.user("ann", "Anna", 3)
	v.user("zoe", "Zoe", 4)
	v.Compact()
	app = run(t, topo, v.config(t.TempDir()))
	v.handled(4)
	if got := v.answers(0, "ann", "bob"); !slices.Equal(got, []string{"ann=Anna", "bob=Bob"}) {
		t.Errorf("got %q", got)
	}
	app.stop()
	if !v.log.has("these rows are missing or old until then") {
		t.Error("there is no warning")
	}
}

// If a kept disk is older than the topic keeps deletions, the table is read again.
func TestSourceAsChangelogTooOld(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out")).withUsers()
	topo := asking(t, usersTable)
	old, wiped := t.TempDir(), &wipes{}
	app := run(t, topo, c.config("app", old))
	c.user("ann", "Ann", 1)
	c.handled(1)
	app.stop()
	app = run(t, topo, c.config("app", t.TempDir()))
	c.user("ann", "-", 2)
	c.user("bob", "Bob", 3)
	c.handled(3)
	app.stop()
	c.expireDeletions("users")
	cfg := c.config("app", old)
	cfg.Hooks = []millrace.Hook{wiped}
	app = run(t, topo, cfg)
	if got := c.answers(0, "ann", "bob"); !slices.Equal(got, []string{"ann=?", "bob=Bob"}) {
		t.Errorf("got %q", got)
	}
	app.stop()
	if wiped.n.Load() != 1 {
		t.Errorf("the store was wiped %d times, want once", wiped.n.Load())
	}
}

// A topic from which the broker deletes is refused.
func TestSourceAsChangelogNeedsCompaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out")).withUsers()
	for _, policy := range []string{"delete", "compact,delete"} {
		c.alter("users", "cleanup.policy", policy)
		err := run(t, asking(t, usersTable), c.config("app", t.TempDir())).wait()
		checkRefused(t, err, "table users", "cleanup.policy="+policy, "topology.SourceAsChangelog")
	}
}

// The choice of the changelog is recorded. A program that changes it is refused, with a
// disk and without.
func TestSourceAsChangelogIsRecorded(t *testing.T) {
	t.Parallel()
	own := func(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, string] {
		return topology.SourceTable[string, string](b, "users", serde.String, tidy{}, opts...)
	}
	unlogged := func(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, string] {
		return own(b, topology.WithoutChangelog())
	}
	for _, first := range []bool{true, false} {
		c := newCluster(t, kfake.SeedTopics(1, "in", "out")).withUsers()
		before, after, says := usersTable, own, "use topology.SourceAsChangelog again"
		if !first {
			before, after, says = own, usersTable, "remove topology.SourceAsChangelog"
		}
		dir := t.TempDir()
		app := run(t, asking(t, before), c.config("app", dir))
		c.user("ann", "Ann", 1)
		c.handled(1)
		app.stop()
		for _, dir := range []string{dir, t.TempDir()} {
			checkRefused(t, run(t, asking(t, after), c.config("app", dir)).wait(), "users", says)
		}
		if first {
			checkRefused(t, run(t, asking(t, unlogged), c.config("app", dir)).wait(), "users", says)
		}
		app = run(t, asking(t, before), c.config("app", dir))
		if got := c.answers(0, "ann"); got[0] != "ann=Ann" {
			t.Errorf("got %q", got)
		}
		app.stop()
	}
}

// A table without a changelog may get its topic as one: its rows are read from the topic.
func TestSourceAsChangelogOfAnUnloggedTable(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out")).withUsers()
	dir := t.TempDir()
	app := run(t, asking(t, func(b *topology.Builder, _ ...topology.SourceTableOption) topology.Table[string, string] {
		return topology.SourceTable[string, string](b, "users", serde.String, tidy{}, topology.WithoutChangelog())
	}), c.config("app", dir))
	c.user("ann", "Ann", 1)
	c.handled(1)
	app.stop()
	app = run(t, asking(t, usersTable), c.config("app", dir))
	if got := c.answers(0, "ann"); got[0] != "ann=Ann" {
		t.Errorf("got %q", got)
	}
	app.stop()
}

// The table leaves the topology without Config.RemoveStores, because the topic has its
// rows. The topic stays as it is. If the table comes back, it has all rows.
func TestSourceAsChangelogIsRemoved(t *testing.T) {
	t.Parallel()
	// The database of the task stays, because it has another store.
	counted := func(b *topology.Builder) {
		users := topology.Source[string, string](b, "users", serde.String, tidy{})
		both := topology.Source(b, "in", serde.String, serde.String).Merge(topology.MapValues(users, func(v string) string { return v }, serde.String))
		topology.GroupByKey(both, "by-user").Count("counts")
	}
	withTable := asking(t, func(b *topology.Builder, opts ...topology.SourceTableOption) topology.Table[string, string] {
		counted(b)
		return usersTable(b, opts...)
	})
	for _, named := range []bool{false, true} {
		c := newCluster(t, kfake.SeedTopics(1, "in", "out")).withUsers()
		dir := t.TempDir()
		app := run(t, withTable, c.config("app", dir))
		c.user("ann", "Ann", 1)
		c.user("bob", "Bob", 2)
		c.handled(2)
		app.stop()
		id, before := c.TopicInfo("users").TopicID, c.TopicInfo("users").Configs

		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String).To("out")
		counted(b)
		cfg := c.config("app", dir)
		if named {
			cfg.RemoveStores = []string{"users"}
		}
		app = run(t, build(t, b), cfg)
		c.user("ann", "-", 3)
		c.handled(3)
		app.stop()
		after := c.TopicInfo("users")
		if after == nil || after.TopicID != id || *after.Configs["cleanup.policy"] != "compact" || len(after.Configs) != len(before) || len(c.records("users")) != 3 {
			t.Errorf("the topic was changed: %+v", after)
		}
		for _, dir := range []string{dir, t.TempDir()} {
			n := len(c.records("out"))
			app = run(t, withTable, c.config("app", dir))
			if got := c.answers(n, "ann", "bob"); !slices.Equal(got, []string{"ann=?", "bob=Bob"}) {
				t.Errorf("got %q", got)
			}
			app.stop()
		}
	}
}

// The topic is deleted and created again. The old rows are gone with it.
func TestSourceAsChangelogIsRecreated(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out")).withUsers()
	dir := t.TempDir()
	app := run(t, asking(t, usersTable), c.config("app", dir))
	c.user("ann", "Ann", 1)
	c.user("bob", "Bob", 2)
	c.handled(2)
	app.stop()
	if _, err := kadm.NewClient(c.cl).DeleteTopics(context.Background(), "users"); err != nil {
		t.Fatal(err)
	}
	c.cl.PurgeTopicsFromClient("users")
	c.withUsers().user("ann", "Anna", 3)
	cfg := c.config("app", dir)
	cfg.RecreatedInputs, cfg.LostOffsets = millrace.RestartEarliest, millrace.RestartEarliest
	app = run(t, asking(t, usersTable), cfg)
	c.handled(1)
	if got := c.answers(0, "ann", "bob"); !slices.Equal(got, []string{"ann=Anna", "bob=?"}) {
		t.Errorf("got %q", got)
	}
	app.stop()
}

// If the error policy fails, so does the restore of a row that cannot be decoded now. It
// is not lost.
func TestSourceAsChangelogWithABrokenSerde(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out", "dead")).withUsers()
	dir := t.TempDir()
	app := run(t, asking(t, usersTable), skipping(c.config("app", dir)))
	c.user("ann", "bad", 1)
	c.handled(1)
	app.stop()
	err := run(t, asking(t, usersTable), c.config("app", filepath.Join(t.TempDir(), "new"))).wait()
	checkRefused(t, err, "users", "offset 0", "it is bad")
}
