package broker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/examples/internal/broker"
	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// TestEmbeddedGoesOn: a program that is restarted with the same directory finds its
// topics and records.
func TestEmbeddedGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()

	client, stop := embedded(t, dir)
	if _, _, err := broker.Embedded(dir); err == nil {
		t.Error("a second broker on the same directory starts")
	}
	if err := broker.Create(t.Context(), client, 2, "lines", "counts"); err != nil {
		t.Fatal(err)
	}
	compact := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, -1, compact, "changelog"); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "lines", Value: []byte("one")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	stop()

	client, stop = embedded(t, dir)
	defer stop()
	if err := broker.Create(t.Context(), client, 2, "lines", "counts"); err != nil {
		t.Fatalf("topics that exist: %v", err)
	}
	fetches := client.PollRecords(t.Context(), 1)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(fetches.Records()[0].Value); got != "one" {
		t.Errorf("after a restart the record is %q, want %q", got, "one")
	}
}

// TestCreateWaits: Create returns when the brokers know the leaders of the new topics, or
// when its context ends.
func TestCreateWaits(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t)
	client := c.Client()

	answers := []*kerr.Error{kerr.UnknownTopicOrPartition, kerr.LeaderNotAvailable}
	var asked atomic.Int64
	c.ControlKey(kmsg.Metadata.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := request.(*kmsg.MetadataRequest)
		if len(r.Topics) == 0 {
			return nil, nil, false
		}
		n := int(asked.Add(1)) - 1
		if n >= len(answers) && *r.Topics[0].Topic != "never" {
			return nil, nil, false
		}
		response := r.ResponseKind().(*kmsg.MetadataResponse)
		for _, asked := range r.Topics {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = asked.Topic, answers[n%len(answers)].Code
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
	if err := broker.Create(t.Context(), client, 2, "soon"); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n <= int64(len(answers)) {
		t.Errorf("asked %d times, want to be asked until there is a leader", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := broker.Create(ctx, client, 2, "never"); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("a topic without a leader: error is %v", err)
	}
}

func embedded(t *testing.T, dir string) (*kgo.Client, func()) {
	t.Helper()
	brokers, stop, err := broker.Embedded(dir)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("lines"))
	if err != nil {
		t.Fatal(err)
	}
	return client, func() {
		client.Close()
		stop()
	}
}
