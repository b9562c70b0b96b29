package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/protocol"
)

// without returns the latest release without one request.
func without(key kmsg.Key) *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(key), -1)
	return v
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const both = ""
	for _, tc := range []struct {
		name       string
		versions   *kversion.Versions
		exactly    string // the error's text under exactly-once; "" if there is none
		atLeast    string // the same under at-least-once
		noTopicIDs bool
	}{
		{"2.2", kversion.V2_2_0(), "JoinGroup needs version 5 (Kafka 2.3)", "JoinGroup needs version 5 (Kafka 2.3)", true},
		{"2.3", kversion.V2_3_0(), "LeaveGroup needs version 3 (Kafka 2.4)", "CreateTopics needs version 4 (Kafka 2.4)", true},
		{"2.4", kversion.V2_4_0(), "TxnOffsetCommit needs version 3 (Kafka 2.5)", both, true},
		{"2.5", kversion.V2_5_0(), both, both, true},
		{"2.7", kversion.V2_7_0(), both, both, true},
		{"2.8", kversion.V2_8_0(), both, both, false},
		{"3.0", kversion.V3_0_0(), both, both, false},
		{"4.0", kversion.V4_0_0(), both, both, false},
		{"latest", kversion.Stable(), both, both, false},
		{"no transactions", without(kmsg.TxnOffsetCommit), "it does not know the request", both, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cl := kafkatest.New(t, kfake.NumBrokers(2), kfake.MaxVersions(tc.versions)).Client()
			for exactly, want := range map[bool]string{true: tc.exactly, false: tc.atLeast} {
				report, err := protocol.Check(context.Background(), cl, exactly)
				if want == "" && (err != nil || report.NoTopicIDs != tc.noTopicIDs) {
					t.Errorf("exactly-once %v: %+v, %v", exactly, report, err)
				}
				if want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "too old") != 2) {
					t.Errorf("exactly-once %v: got %v\nwant %q of both brokers", exactly, err, want)
				}
			}
		})
	}
}

// TestDocumentedNeeds compares docs/brokers.md with the table of needs.
func TestDocumentedNeeds(t *testing.T) {
	t.Parallel()
	const file = "../../docs/brokers.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	atLeast := len(protocol.Needs(false))
	for i, n := range protocol.Needs(true) {
		guarantee := "both"
		if i >= atLeast {
			guarantee = "exactly-once"
		}
		row := fmt.Sprintf("| %s | %d | %s | %s | %s |\n", n.Key.Name(), n.Version, n.Kafka, n.Why, guarantee)
		if !strings.Contains(string(text), row) {
			t.Errorf("%s lacks the row\n%s", file, row)
		}
	}
}

// The client leaves out fields that do not fit into an old version, whoever limits it.
func TestLimitedClient(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t)
	cl := c.Client(kgo.MaxVersions(kversion.V2_4_0()))
	_, err := protocol.Check(context.Background(), cl, true)
	if old := (*protocol.OldError)(nil); !errors.As(err, &old) || !strings.Contains(old.Who, "kgo.MaxVersions") {
		t.Errorf("got %v", err)
	}
	report, err := protocol.Check(context.Background(), cl, false)
	if err != nil || !report.NoTopicIDs {
		t.Errorf("at-least-once: %+v, %v", report, err)
	}
}

// A broker that does not answer is ignored, unless none answers.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) {
		var silent atomic.Int32 // brokers
		dial := func(ctx context.Context, network, host string) (net.Conn, error) {
			if n := silent.Load(); n > 1 || n == 1 && strings.HasSuffix(host, ":9093") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return c.Net.DialContext(ctx, network, host)
		}
		for n, want := range []bool{true, true, false} {
			silent.Store(int32(n))
			cl := c.Client(kgo.SeedBrokers(c.ListenAddrs()[0]), kgo.Dialer(dial))
			began := time.Now()
			if _, err := protocol.Check(context.Background(), cl, true); (err == nil) != want {
				t.Errorf("%d of two brokers are silent: %v", n, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%d of two brokers are silent: it took %v", n, took)
			}
		}
	}, kfake.NumBrokers(2), kfake.Ports(9092, 9093))
}
