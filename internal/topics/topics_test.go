package topics

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/transient"
)

var background = context.Background()

// inCluster runs f with a client of a cluster on a virtual network.
func inCluster(t *testing.T, f func(*testing.T, *kfake.Cluster, *kgo.Client)) {
	t.Helper()
	t.Parallel()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) {
		f(t, c.Cluster, c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner())))
	}, kfake.SeedTopics(4, "tweets"))
}

func specs() []Spec {
	return []Spec{
		{Name: "app-counts-changelog", Partitions: 4, ReplicationFactor: -1, Kind: ChangelogCompact},
		{Name: "app-minutes-changelog", Partitions: 4, Kind: ChangelogWindowed, Retention: time.Hour, Configs: map[string]string{"min.insync.replicas": "1"}},
		{Name: "app-by-author-repartition", Partitions: 2, ReplicationFactor: 1, Kind: Repartition},
	}
}

func TestEnsureCreatesAndThenAccepts(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		first, err := Ensure(background, cl, specs())
		if err != nil {
			t.Fatal(err)
		}
		again, err := Ensure(background, cl, specs())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range specs() {
			topic := again[s.Name]
			if topic.Partitions != s.Partitions || topic.ID == (TopicID{}) || topic.ID != first[s.Name].ID || topic.Configs["max.message.bytes"] == "" {
				t.Errorf("%s: %+v", s.Name, topic)
			}
			for k, v := range s.configs() {
				if got := topic.Configs[k]; got != v {
					t.Errorf("%s: %s is %q, want %q", s.Name, k, got, v)
				}
			}
		}
		for name, topic := range again {
			if len(topic.Warnings) > 0 || topic.Command != "" {
				t.Errorf("%s: warnings of a topic of our own: %v, %s", name, topic.Warnings, topic.Command)
			}
		}
		if empty, err := Ensure(background, cl, nil); err != nil || len(empty) != 0 {
			t.Errorf("got %v, %v", empty, err)
		}
	})
}

func TestSeveralProcessesCreateAtOnce(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			wg.Go(func() {
				_, err := Ensure(background, cl, specs())
				errs <- err
			})
		}
		wg.Wait()
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAlreadyExistsIsAccepted(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		cluster.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
			resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
			for _, s := range req.(*kmsg.CreateTopicsRequest).Topics {
				topic := kmsg.NewCreateTopicsResponseTopic()
				topic.Topic, topic.ErrorCode = s.Topic, kerr.TopicAlreadyExists.Code
				resp.Topics = append(resp.Topics, topic)
			}
			go func() { // the other process's request takes effect a moment later
				<-time.After(time.Second) // virtual
				for _, s := range specs() {
					_ = cluster.CreateTopic(s.Name, s.Partitions, s.configs())
				}
			}()
			return resp, nil, true
		})
		if _, err := Ensure(background, cl, specs()); err != nil {
			t.Error(err)
		}
	})
}

func TestBusyControllerIsAskedAgain(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "app-counts-changelog", Err: kerr.ThrottlingQuotaExceeded, Count: 3})
		if _, err := Ensure(background, cl, specs()); err != nil || fault.Hits() != 3 {
			t.Errorf("got %v after %d", err, fault.Hits())
		}
	})
}

func TestMismatchesAreExplained(t *testing.T) {
	for _, tc := range []struct {
		name    string
		found   map[string]string
		count   int32
		spec    Spec
		explain []string
	}{
		{"partitions", map[string]string{"cleanup.policy": "compact"}, 3, Spec{Partitions: 4},
			[]string{"3 partitions, expected 4", "reset"}},
		{"deleted changelog", map[string]string{"cleanup.policy": "delete"}, 4, Spec{Partitions: 4},
			[]string{`cleanup.policy is "delete", expected "compact"`, "--entity-name app-it --add-config 'cleanup.policy=compact'"}},
		{"half deleted changelog", map[string]string{"cleanup.policy": "compact,delete"}, 4, Spec{Partitions: 4},
			[]string{`expected "compact"`}},
		{"short windows", map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000"}, 4, Spec{Partitions: 4, Kind: ChangelogWindowed, Retention: time.Hour},
			[]string{`retention.ms is "60000"`, `expected "-1"`, "'retention.ms=-1'"}},
		{"compacted repartition topic", map[string]string{"cleanup.policy": "compact"}, 4, Spec{Partitions: 4, Kind: Repartition},
			[]string{`expected "delete"`}},
		{"forgetful repartition topic", map[string]string{"retention.ms": "60000"}, 2, Spec{Partitions: 4, Kind: Repartition},
			[]string{`expected "-1"`, "2 partitions, expected 4"}},
		{"repartition topic by time of writing", map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}, 4,
			Spec{Partitions: 4, Kind: Repartition}, []string{`message.timestamp.type is "LogAppendTime"`, "event times", "'message.timestamp.type=CreateTime'"}},
		{"changelog by time of writing", map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}, 4, Spec{Partitions: 4},
			[]string{"CreateTime"}},
		{"windows by time of writing", map[string]string{"cleanup.policy": "compact,delete", "message.timestamp.type": "LogAppendTime"}, 4,
			Spec{Partitions: 4, Kind: ChangelogWindowed}, []string{"CreateTime"}},
		{"by time of writing, and other differences", map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "compression.type": "gzip"},
			4, Spec{Partitions: 4}, []string{"'message.timestamp.type=CreateTime,compression.type=producer'"}},
		{name: "endless windows", found: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1"}, count: 4, spec: Spec{Partitions: 4, Kind: ChangelogWindowed, Retention: time.Hour}},
		{name: "compacted windows", found: map[string]string{"cleanup.policy": "compact"}, count: 4, spec: Spec{Partitions: 4, Kind: ChangelogWindowed, Retention: time.Hour}},
		{name: "the user's choice", found: map[string]string{"cleanup.policy": "delete", "retention.ms": "60000"}, count: 4,
			spec: Spec{Partitions: 4, Configs: map[string]string{"cleanup.policy": "delete"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
				tc.spec.Name = "app-it"
				if err := cluster.CreateTopic("app-it", tc.count, tc.found); err != nil {
					t.Fatal(err)
				}
				_, err := Ensure(background, cl, []Spec{tc.spec})
				if len(tc.explain) == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var e *MismatchError
				if !errors.As(err, &e) || e.Topic != "app-it" {
					t.Fatalf("got %v", err)
				}
				for _, words := range append(tc.explain, `"app-it"`) {
					if !strings.Contains(err.Error(), words) {
						t.Errorf("%q does not say %q", err, words)
					}
				}
			})
		})
	}
}

func TestRefusedCreationIsExplained(t *testing.T) {
	for code, words := range map[*kerr.Error]string{
		kerr.TopicAuthorizationFailed: "allow the application",
		kerr.InvalidReplicationFactor: "replication factor",
		kerr.PolicyViolation:          "policy",
	} {
		t.Run(code.Message, func(t *testing.T) {
			inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "app-counts-changelog", Err: code, Count: -1})
				_, err := Ensure(background, cl, specs())
				if !errors.Is(err, code) || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "app-counts-changelog") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestDescribe(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		if err := cluster.CreateTopic("narrow", 1, map[string]string{"max.message.bytes": "4096"}); err != nil {
			t.Fatal(err)
		}
		described, err := Describe(background, cl, []string{"tweets", "narrow", "missing", "also-missing"})
		if err != nil {
			t.Fatal(err)
		}
		if d := described["tweets"]; d.Partitions != 4 || d.Missing || d.Configs["max.message.bytes"] != "1048588" {
			t.Errorf("tweets: %+v", d)
		}
		if d := described["narrow"]; d.Configs["max.message.bytes"] != "4096" {
			t.Errorf("narrow: %+v", d)
		}
		if !described["missing"].Missing || !described["also-missing"].Missing {
			t.Errorf("topics that do not exist: %+v", described)
		}
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: "tweets", Err: kerr.TopicAuthorizationFailed})
		described, err = Describe(background, cl, []string{"tweets"})
		if err != nil || described["tweets"].Partitions != 4 || described["tweets"].Configs != nil {
			t.Errorf("without a right to read the configuration: %+v, %v", described, err)
		}
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: "tweets", Err: kerr.TopicAuthorizationFailed})
		described, err = Describe(background, cl, []string{"tweets", "narrow"})
		if err != nil || described["tweets"].Configs != nil || described["narrow"].Configs["max.message.bytes"] != "4096" {
			t.Errorf("without a right to read the configuration of one of them: %+v, %v", described, err)
		}
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: "narrow", Err: kerr.RequestTimedOut})
		if _, err = Describe(background, cl, []string{"tweets", "narrow"}); !transient.Is(err) || !strings.Contains(err.Error(), "narrow") {
			t.Errorf("a broker that does not answer in time for one of them: %v", err)
		}
	})
}

// A client keeps what it has learned about topics for a while. A topic that was missing
// then must be found as soon as it exists.
func TestDescribeAsksBroker(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		for _, missing := range []bool{true, false} {
			described, err := Describe(background, cl, []string{"new"})
			if err != nil || described["new"].Missing != missing {
				t.Errorf("missing = %v, want %v (error: %v)", described["new"].Missing, missing, err)
			}
			if missing {
				if err := cluster.CreateTopic("new", 1, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestEnsureDoesNotWait(t *testing.T) {
	inCluster(t, func(t *testing.T, _ *kfake.Cluster, cl *kgo.Client) {
		begun := time.Now()
		if _, err := Ensure(background, cl, specs()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took >= retries.First {
			t.Errorf("new topics that were ready at once took %v", took)
		}
	})
}

func produce(t *testing.T, cl *kgo.Client, topic string, n int) {
	t.Helper()
	for range n {
		if err := cl.ProduceSync(background, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPurge(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		start := func() int64 { return cluster.PartitionInfo("tweets", 0).LogStartOffset }
		var log strings.Builder
		p := NewPurger(cl, slog.New(slog.NewTextHandler(&log, nil)))
		produce(t, cl, "tweets", 10)
		denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Topic: "tweets", Err: kerr.TopicAuthorizationFailed, Count: -1})
		for range 10 {
			p.Purge(background, Offsets{"tweets": {0: 7, 1: 0}})
		}
		if start() != 0 || strings.Count(log.String(), "Delete on the topic") != 1 {
			t.Errorf("log start %d; of ten refusals was logged: %s", start(), log.String())
		}
		<-time.After(warnEvery) // virtual
		p.Purge(background, Offsets{"tweets": {0: 7}})
		if strings.Count(log.String(), "Delete on the topic") != 2 {
			t.Errorf("an hour later was logged: %s", log.String())
		}
		denied.Remove()
		p.Purge(background, Offsets{"tweets": {0: 7, 1: 0}})
		if got := start(); got != 7 {
			t.Errorf("log start %d, want 7", got)
		}
		asked := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Topic: "tweets", Err: kerr.UnknownServerError, Count: -1})
		p.Purge(background, Offsets{"tweets": {0: 7}})
		if asked.Hits() != 0 {
			t.Error("what has not moved was purged again")
		}
	})
}

func TestOffsetsSince(t *testing.T) {
	t.Parallel()
	earlier := Offsets{"a": {0: 5}, "b": {0: 2}}
	next := Offsets{"a": {0: 4, 1: 3, 2: 0}, "b": {0: 2, 7: 1}}
	if got, want := next.Since(earlier), (Offsets{"a": {1: 3}, "b": {7: 1}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// If a setting differs, but the application can run, a warning names the command that
// corrects it.
func TestWarnings(t *testing.T) {
	const command = "kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name app-it --add-config "
	for _, tc := range []struct {
		name    string
		found   map[string]string
		spec    Spec
		command string
	}{
		{"windows of a Java application", map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "90000000"},
			Spec{Kind: ChangelogWindowed, Retention: time.Hour}, "'retention.ms=-1'"},
		{"compacted windows", map[string]string{"cleanup.policy": "compact"}, Spec{Kind: ChangelogWindowed, Retention: time.Hour}, "'cleanup.policy=[compact,delete]'"},
		{"windows bounded by size", map[string]string{"cleanup.policy": "delete,compact", "retention.ms": "-1", "retention.bytes": "1000"},
			Spec{Kind: ChangelogWindowed, Retention: time.Hour}, "'retention.bytes=-1'"},
		{"repartition topic bounded by size", map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "1000"},
			Spec{Kind: Repartition}, "'retention.bytes=-1'"},
		{"bounds of timestamps", map[string]string{"cleanup.policy": "compact", "message.timestamp.after.max.ms": "3600000", "message.timestamp.before.max.ms": "1"}, Spec{},
			"'message.timestamp.before.max.ms=9223372036854775807,message.timestamp.after.max.ms=9223372036854775807'"},
		{"bound of an old broker", map[string]string{"cleanup.policy": "compact", "message.timestamp.difference.max.ms": "60000"}, Spec{},
			"'message.timestamp.difference.max.ms=9223372036854775807'"},
		{"compressed again", map[string]string{"cleanup.policy": "compact", "compression.type": "gzip"}, Spec{}, "'compression.type=producer'"},
		{"deletions that are soon gone", map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "0"}, Spec{}, "'delete.retention.ms=86400000'"},
		{"deletions that stay longer", map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "86400001"}, Spec{}, ""},
		{"small segments", map[string]string{"cleanup.policy": "compact", "segment.bytes": "1000000", "max.message.bytes": "1000001"}, Spec{}, "'segment.bytes=52428800'"},
		{"small segments and batches", map[string]string{"cleanup.policy": "compact", "segment.bytes": "1000000", "max.message.bytes": "1000000"}, Spec{}, ""},
		{"unclean elections", map[string]string{"cleanup.policy": "compact", "unclean.leader.election.enable": "true"}, Spec{}, "'unclean.leader.election.enable=false'"},
		{"a changelog's retention", map[string]string{"cleanup.policy": "compact", "retention.ms": "1", "retention.bytes": "1"}, Spec{}, ""},
		{"the user's choice", map[string]string{"cleanup.policy": "compact", "compression.type": "gzip"}, Spec{Configs: map[string]string{"compression.type": "gzip"}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
				tc.spec.Name, tc.spec.Partitions = "app-it", 1
				if err := cluster.CreateTopic("app-it", 1, tc.found); err != nil {
					t.Fatal(err)
				}
				described, err := Ensure(background, cl, []Spec{tc.spec})
				if err != nil {
					t.Fatal(err)
				}
				topic := described["app-it"]
				want := ""
				if tc.command != "" {
					want = command + tc.command
				}
				if topic.Command != want || (want == "") != (len(topic.Warnings) == 0) {
					t.Errorf("command %q, want %q; warnings %v", topic.Command, want, topic.Warnings)
				}
			})
		})
	}
}

// unknown makes the controller refuse topics with settings that it does not know, as
// brokers do.
func unknown(cluster *kfake.Cluster, code *kerr.Error, names ...string) {
	cluster.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		refused := false
		for _, s := range req.(*kmsg.CreateTopicsRequest).Topics {
			topic := kmsg.NewCreateTopicsResponseTopic()
			topic.Topic = s.Topic
			for _, c := range s.Configs {
				if slices.Contains(names, c.Name) {
					topic.ErrorCode, refused = code.Code, true
				}
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, refused
	})
}

// A broker before 3.6 does not know the two bounds of timestamps. It knows an older
// setting.
func TestOldBroker(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		unknown(cluster, kerr.InvalidConfig, "message.timestamp.before.max.ms", "message.timestamp.after.max.ms")
		found, err := Ensure(background, cl, specs())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range specs() {
			topic := found[s.Name]
			if _, set := topic.Configs["message.timestamp.after.max.ms"]; set || topic.Configs["message.timestamp.difference.max.ms"] != maxLong || topic.Configs["message.timestamp.type"] != "CreateTime" {
				t.Errorf("%s: %v", s.Name, topic.Configs)
			}
			if len(topic.Warnings) != 2 || topic.Command != "" || !strings.Contains(topic.Warnings[0].String(), "left out") {
				t.Errorf("%s: %v, %q", s.Name, topic.Warnings, topic.Command)
			}
		}
	})
}

// A cluster's policy may forbid a setting that is not needed at first.
func TestForbiddenSetting(t *testing.T) {
	inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
		unknown(cluster, kerr.PolicyViolation, "unclean.leader.election.enable")
		found, err := Ensure(background, cl, specs())
		if err != nil || len(found["app-counts-changelog"].Warnings) != 1 {
			t.Errorf("%v, %v", found["app-counts-changelog"].Warnings, err)
		}
	})
}

// Without its cleanup policy, or without a setting of the user, a topic is not created.
func TestSettingsThatAreNotLeftOut(t *testing.T) {
	for name, set := range map[string]string{"policy": "cleanup.policy", "user": "min.insync.replicas"} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, cluster *kfake.Cluster, cl *kgo.Client) {
				unknown(cluster, kerr.InvalidConfig, set)
				if _, err := Ensure(background, cl, specs()); !errors.Is(err, kerr.InvalidConfig) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// Settings that are left to the broker are never set: the library's value could be below
// the broker's default.
func TestNeverSet(t *testing.T) {
	t.Parallel()
	for k := range kinds {
		for _, name := range []string{"min.insync.replicas", "max.message.bytes"} {
			if v, set := (Spec{Kind: Kind(k)}).configs()[name]; set {
				t.Errorf("%v: %s=%s", Kind(k), name, v)
			}
		}
	}
}
