package topics

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
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
			if topic.Partitions != s.Partitions || topic.ID == (TopicID{}) || topic.ID != first[s.Name].ID || topic.MaxMessageBytes == 0 {
				t.Errorf("%s: %+v", s.Name, topic)
			}
			for k, v := range s.configs() {
				if got := topic.Configs[k]; got != v {
					t.Errorf("%s: %s is %q, want %q", s.Name, k, got, v)
				}
			}
		}
		if got := again["app-minutes-changelog"].Configs["retention.ms"]; got != "90000000" {
			t.Errorf("retention.ms %s, want 25 h", got)
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
			[]string{`cleanup.policy is "delete", expected "compact"`}},
		{"half deleted changelog", map[string]string{"cleanup.policy": "compact,delete"}, 4, Spec{Partitions: 4},
			[]string{`expected "compact"`}},
		{"short windows", map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000"}, 4, Spec{Partitions: 4, Kind: ChangelogWindowed, Retention: time.Hour},
			[]string{"retention.ms is 60000", "3600000"}},
		{"compacted repartition topic", map[string]string{"cleanup.policy": "compact"}, 4, Spec{Partitions: 4, Kind: Repartition},
			[]string{`expected "delete"`}},
		{"forgetful repartition topic", map[string]string{"retention.ms": "60000"}, 2, Spec{Partitions: 4, Kind: Repartition},
			[]string{"expected -1", "2 partitions, expected 4"}},
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
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "app-counts-changelog", Err: code})
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
		if d := described["tweets"]; d.Partitions != 4 || d.Missing || d.MaxMessageBytes != 1048588 {
			t.Errorf("tweets: %+v", d)
		}
		if d := described["narrow"]; d.MaxMessageBytes != 4096 {
			t.Errorf("narrow: %+v", d)
		}
		if !described["missing"].Missing || !described["also-missing"].Missing {
			t.Errorf("topics that do not exist: %+v", described)
		}
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: "tweets", Err: kerr.TopicAuthorizationFailed})
		described, err = Describe(background, cl, []string{"tweets"})
		if err != nil || described["tweets"].Partitions != 4 || described["tweets"].MaxMessageBytes != 0 {
			t.Errorf("without a right to read the configuration: %+v, %v", described, err)
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
		produce(t, cl, "tweets", 10)
		if err := Purge(background, cl, map[string]map[int32]int64{"tweets": {0: 7, 1: 0}}); err != nil {
			t.Fatal(err)
		}
		if got := cluster.PartitionInfo("tweets", 0).LogStartOffset; got != 7 {
			t.Errorf("log start %d, want 7", got)
		}
		if err := Purge(background, cl, nil); err != nil {
			t.Error(err)
		}
		if err := Purge(background, cl, map[string]map[int32]int64{"missing": {0: 7}}); err == nil {
			t.Error("purging a missing topic succeeded")
		}
	})
}
