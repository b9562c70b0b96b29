package millrace_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// retentions is a hook that collects what it is told, by table. risks has the risks.
type retentions struct {
	mu    sync.Mutex
	told  map[string]string
	risks map[string]string
	calls int
}

func (r *retentions) OnTableRetention(e millrace.TableRetention) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told, r.risks = map[string]string{}, map[string]string{}
	}
	r.calls++
	r.told[e.Table] = fmt.Sprintf("topic=%s global=%v %s age=%v bytes=%d", e.Topic, e.Global, e.Policy, e.MaxAge, e.MaxBytes)
	r.risks[e.Table] = e.Risk
}

// tables reads the topics "users" and "titles" as tables, "prices", "rates" and "flags"
// as global stores, and "orders" as a stream.
func tables(t *testing.T) *topology.Topology {
	b := topology.New()
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	titles := topology.SourceTable(b, "titles", serde.String, serde.String, topology.WithoutStore())
	titles.Stream().To("out")
	prices := topology.GlobalTable(b, "prices", serde.String, serde.String, topology.Named("price-list"))
	topology.GlobalTable(b, "rates", serde.String, serde.String, topology.InMemory())
	topology.GlobalStore(b, "flags", serde.String, serde.String, state.KeyValue("flag-rows", serde.String, serde.String), func() *forgetting { return &forgetting{} })
	plus := func(a, b string) string { return a + b }
	known := topology.Join(topology.Source(b, "orders", serde.String, serde.String), users, plus, serde.String)
	topology.JoinGlobal(known, prices, func(v string) string { return v }, plus, serde.String).To("out")
	return build(t, b)
}

var tablesTopics = []string{"users", "titles", "prices", "rates", "flags"}

// forgetting is a processor of a global store.
type forgetting struct{}

func (*forgetting) Init(processor.Context[struct{}, struct{}]) error { return nil }

func (*forgetting) Process(processor.Context[struct{}, struct{}], processor.Record[string, string]) error {
	return nil
}

// TestTopicOfTableIsDeletedFrom: a hook and a warning say that the broker deletes records
// from the topic of a table. There is none for a topic that keeps the newest record of
// each key, or for the topic of a stream.
func TestTopicOfTableIsDeletedFrom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		configs map[string]string
		told    string // behind the topic and global; "" if nothing is told
	}{
		"compact":            {map[string]string{"cleanup.policy": "compact"}, ""},
		"delete":             {map[string]string{"cleanup.policy": "delete"}, "delete age=168h0m0s bytes=-1"},
		"compact and delete": {map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000"}, "compact,delete age=1m0s bytes=-1"},
		"by size":            {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "1000"}, "delete age=-1ns bytes=1000"},
		"the longest time":   {map[string]string{"cleanup.policy": "delete", "retention.ms": "9223372036854775807"}, fmt.Sprintf("delete age=%v bytes=-1", time.Duration(1<<63-1))},
		"kept forever":       {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				c.createAll(tablesTopics, test.configs)
				want := map[string]string{}
				if test.told != "" {
					want["users"] = "topic=users global=false " + test.told
					want["titles-table"] = "topic=titles global=false " + test.told
					want["price-list"] = "topic=prices global=true " + test.told
					want["rates"] = "topic=rates global=true " + test.told
					want["flag-rows"] = "topic=flags global=true " + test.told
				}
				log, hook := &logged{}, &retentions{}
				cfg := c.config("app", t.TempDir())
				cfg.Logger, cfg.Hooks = logTo(log), []millrace.Hook{hook}
				app := run(t, tables(t), cfg)
				eventually(t, "it runs", func() bool { return app.State() == millrace.Running })
				app.stop()
				if !maps.Equal(hook.told, want) || hook.calls != len(want) {
					t.Errorf("in %d calls, the hook was told\n%v, want\n%v", hook.calls, hook.told, want)
				}
				for _, topic := range append(tablesTopics, "orders") {
					if got, want := log.has("the broker deletes old records", "topic="+topic), test.told != "" && topic != "orders"; got != want {
						t.Errorf("a warning of topic %s: %v, want %v", topic, got, want)
					}
				}
				for table, words := range map[string]string{
					"users":      "rows that are in the table stay there, but an application that reads the topic later lacks them",
					"price-list": "is new or has lost its disk",
					"rates":      "at its start",
				} {
					if risk := hook.risks[table]; test.told != "" && !(strings.Contains(risk, words) && strings.Contains(risk, "set cleanup.policy=compact")) {
						t.Errorf("the risk of %s is %q, want in it %q", table, risk, words)
					}
				}
			}, kfake.SeedTopics(1, "orders", "out"))
		})
	}
}

// createAll creates topics with settings.
func (c *cluster) createAll(topics []string, configs map[string]string) {
	c.t.Helper()
	for _, topic := range topics {
		if err := c.CreateTopic(topic, 1, configs); err != nil {
			c.t.Fatal(err)
		}
	}
}

// The hook is called once for each table in each start of the application.
func TestTableRetentionIsToldAtEachStart(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.createAll(tablesTopics, map[string]string{"cleanup.policy": "delete"})
		hook := &retentions{}
		cfg := c.config("app", t.TempDir())
		cfg.Hooks = []millrace.Hook{hook}
		for starts := 1; starts <= 2; starts++ {
			app := run(t, tables(t), cfg)
			eventually(t, "it runs", func() bool { return app.State() == millrace.Running })
			app.stop()
			if hook.calls != starts*len(tablesTopics) {
				t.Errorf("after %d starts, the hook was called %d times for %d tables", starts, hook.calls, len(tablesTopics))
			}
		}
	}, kfake.SeedTopics(1, "orders", "out"))
}

// If the settings of the topic of a table cannot be read, a warning says that they were
// not checked.
func TestSettingsOfTopicOfTableAreHidden(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.createAll(tablesTopics, map[string]string{"cleanup.policy": "delete"})
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: "users", Err: kerr.TopicAuthorizationFailed})
		log, hook := &logged{}, &retentions{}
		cfg := c.config("app", t.TempDir())
		cfg.Logger, cfg.Hooks = logTo(log), []millrace.Hook{hook}
		app := run(t, tables(t), cfg)
		eventually(t, "it runs", func() bool { return app.State() == millrace.Running })
		app.stop()
		if !log.has("was not checked", "DescribeConfigs", "table=users", "topic=users") {
			t.Error("no warning says that the settings of topic users were not checked")
		}
		if _, told := hook.told["users"]; told || len(hook.told) != len(tablesTopics)-1 {
			t.Errorf("the hook was told %v", hook.told)
		}
	}, kfake.SeedTopics(1, "orders", "out"))
}
