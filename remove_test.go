package millrace_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

const countsChangelog = "app-counts-changelog"

func (v *versions) exists(topic string) bool { return v.TopicInfo(topic) != nil }

// A store with rows is removed by name. Its changelog is deleted, later starts need not
// name it, and a new store of the same name begins empty.
func TestRemoveStore(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk, other := t.TempDir(), t.TempDir()
	v.starts(count("counts"), disk, "1")
	v.starts(count("counts"), other, "2")
	v.starts(none, disk, "3", "counts")
	if v.exists(countsChangelog) {
		t.Error("the changelog is still there")
	}
	for _, dir := range []string{disk, other, t.TempDir()} {
		v.starts(none, dir, "more")
	}
	// The release that was rolled back is started again, and finds no old rows.
	v.refused(countsTo("out2", "counts"), other, "counts", "Config.StartEmpty to counts")
	v.accepting([]string{"counts"}, func() { v.starts(countsTo("out2", "counts"), other, "again") })
	if got := v.read("out2", 1); got[0] != "k=1" {
		t.Errorf("the store that came back counted %v, want k=1", got)
	}
	v.refused(none, disk, "counts", "Config.RemoveStores")
}

// Config.RemoveStores does not remove a store that the application does not have, or that
// the topology still has.
func TestRemoveStoreThatIsThere(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.starts(count("counts"), t.TempDir(), "1")
	v.starts(count("counts"), t.TempDir(), "2", "counts", "unknown")
	if !v.exists(countsChangelog) {
		t.Error("a store of the topology was removed")
	}
	for _, name := range []string{"counts", "unknown"} {
		if !v.log.has("level=WARN", "Config.RemoveStores", "store="+name) {
			t.Errorf("nothing was said of %s", name)
		}
	}
}

// A rename is a removal and a new store; a changed store goes under a new name.
func TestRemoveStoreOnRename(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.starts(count("counts"), t.TempDir(), "1")
	v.accepting([]string{"totals"}, func() { v.starts(countsTo("out2", "totals"), t.TempDir(), "2", "counts") })
	if got := v.read("out2", 1); got[0] != "k=1" {
		t.Errorf("got %v, want k=1: a renamed store begins empty", got)
	}
}

// A store without a changelog binds only the disk that has its rows.
func TestUnloggedStore(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	own := keeps(state.KeyValue("own", serde.String, serde.String, state.WithoutChangelog()), textToText)
	disk := t.TempDir()
	v.starts(own, disk, "1")
	v.refused(none, disk, "own", "Config.RemoveStores to own")
	v.starts(none, t.TempDir(), "2")
	v.starts(none, disk, "3", "own")
	v.starts(none, disk, "4")
}

func countsTo(topic, name string) version {
	return func(in topology.Stream[string, string]) {
		topology.MapValues(topology.GroupByKey(in, "by-key").Count(name, topology.EveryUpdate()).Stream(), func(n int64) string { return strconv.FormatInt(n, 10) }, serde.String).To(topic)
	}
}

// Application "a" with store "b-c" and application "a-b" with store "c" would share a
// changelog.
func TestSharedChangelogIsRefused(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.app = "a"
	v.starts(count("b-c"), t.TempDir(), "1")
	v.app = "a-b"
	v.refused(count("c"), t.TempDir(), "a-b-c-changelog", "already belongs to application a", "store b-c")
	v.starts(count("d"), t.TempDir(), "2")
}

// A registry that an operator has deleted is made again, with a warning. Until then the
// state directory guards the stores.
func TestDeletedRegistry(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	v.starts(count("counts"), disk, "1")
	v.forgetRegistry()
	v.refused(none, disk, "counts")
	v.forgetRegistry()
	v.starts(count("counts"), disk, "2")
	if !v.log.has("level=WARN", "registry of the stores was deleted") {
		t.Error("nothing was said of the deleted registry")
	}
	v.refused(none, t.TempDir(), "counts")
}

// An earlier release made no registry. Its directory still guards the stores, and is
// upgraded without a warning.
func TestDirectoryOfAnEarlierRelease(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	v.starts(count("counts"), disk, "1")
	v.forgetRegistry()
	forgetRegistryID(t, filepath.Join(disk, "app", "process.json"))
	v.refused(none, disk, "counts")
	v.starts(count("counts"), disk, "2")
	if v.log.has("level=WARN", "registry") || v.log.has("level=WARN", "stores hold rows") {
		t.Error("the upgrade was not silent")
	}
	v.refused(none, t.TempDir(), "counts")
}

// forgetRegistryID removes the registry's ID from the file of a state directory.
func forgetRegistryID(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var process map[string]any
	decode(t, text, &process)
	topo := process["topology"].(map[string]any)
	description, err := base64.StdEncoding.DecodeString(topo["description"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var layout map[string]any
	decode(t, description, &layout)
	if layout["Registry"] == nil {
		t.Fatalf("no registry is recorded in %s", description)
	}
	delete(layout, "Registry")
	topo["description"] = base64.StdEncoding.EncodeToString(encode(t, layout))
	if err := os.WriteFile(file, encode(t, process), 0o600); err != nil {
		t.Fatal(err)
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forgetRegistry deletes the registry, as an operator might.
func (v *versions) forgetRegistry() {
	v.t.Helper()
	if _, err := kadm.NewClient(v.cl).DeleteTopic(context.Background(), v.app+"-stores-registry"); err != nil {
		v.t.Fatal(err)
	}
}

// If the registry may not be created or written, the start fails once with a clear error,
// and does not try forever.
func TestRegistryWithoutPermission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		forbid func(kmsg.Request) kmsg.Response
		parts  []string
	}{
		{"create", func(req kmsg.Request) kmsg.Response {
			create, ok := req.(*kmsg.CreateTopicsRequest)
			if !ok || len(create.Topics) != 1 || create.Topics[0].Topic != "app-stores-registry" {
				return nil
			}
			resp := create.ResponseKind().(*kmsg.CreateTopicsResponse)
			resp.Topics = []kmsg.CreateTopicsResponseTopic{{Topic: create.Topics[0].Topic, ErrorCode: kerr.TopicAuthorizationFailed.Code}}
			return resp
		}, []string{"app-stores-registry", "allow the application to create topics"}},
		{"write", func(req kmsg.Request) kmsg.Response {
			init, ok := req.(*kmsg.InitProducerIDRequest)
			if !ok || init.TransactionalID == nil || *init.TransactionalID != "app-stores-registry" {
				return nil
			}
			resp := init.ResponseKind().(*kmsg.InitProducerIDResponse)
			resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
			return resp
		}, []string{"app-stores-registry", "allow the application to Write with the transactional ID"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newVersions(t)
			v.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
				v.KeepControl()
				resp := c.forbid(req)
				return resp, nil, resp != nil
			})
			v.refused(count("counts"), t.TempDir(), c.parts...)
		})
	}
}

// A new version and the old one run side by side, and the leader has the old one. The new
// version has no task, and leaves the registry unchanged.
func TestRollingChange(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	disk := t.TempDir()
	app := run(t, v.build(count("counts")), v.config(disk))
	v.send("in", "k=1")
	eventually(t, "the record is committed", func() bool { return v.committed("app", "in", 0) == 1 })
	v.refused(aggregateNamed("counts", serde.String), t.TempDir(), "counts", "misread")
	v.empty = []string{"more"}
	more := run(t, v.build(both), v.config(t.TempDir()))
	v.empty = nil
	v.send("in", "k=2")
	eventually(t, "the old version goes on", func() bool { return v.committed("app", "in", 0) == 2 })
	app.stop()
	v.send("in", "k=3")
	eventually(t, "the new version takes over", func() bool { return v.committed("app", "in", 0) == 3 })
	more.stop()
	v.refused(count("counts"), disk, "more", "gone")
	v.starts(count("counts"), disk, "4", "more")
}

func both(in topology.Stream[string, string]) {
	count("counts")(in)
	keeps(state.KeyValue("more", serde.String, serde.String), textToText)(in)
}

func aggregateNamed[A any](name string, as serde.Serde[A]) version {
	return func(in topology.Stream[string, string]) {
		topology.Aggregate(topology.GroupByKey(in, "by-key"), name, func() (a A) { return a },
			func(a A, _ processor.Record[string, string]) A { return a }, as)
	}
}
