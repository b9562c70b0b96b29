package topics

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRealBroker checks that a real controller accepts the library's settings, and how it
// answers several creators.
func TestRealBroker(t *testing.T) {
	brokers := os.Getenv("MILLRACE_BROKERS")
	if brokers == "" {
		t.Skip("needs a real Kafka broker, as TestPartsOnRealKafka in integration has one: set MILLRACE_BROKERS to its address")
	}
	ctx, cancel := context.WithTimeout(background, 5*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	app := "topics-" + strings.ToLower(rand.Text())
	needed := specs()
	var names []string
	for i := range needed {
		needed[i].Name = strings.Replace(needed[i].Name, "app", app, 1)
		names = append(names, needed[i].Name)
	}
	defer kadm.NewClient(cl).DeleteTopics(background, names...)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			found, err := Ensure(ctx, cl, needed)
			if err != nil {
				t.Error(err)
			}
			for _, s := range needed {
				topic := found[s.Name]
				if topic.Partitions != s.Partitions || topic.ID == (TopicID{}) || topic.Configs["max.message.bytes"] == "" {
					t.Errorf("%s: %+v", s.Name, topic)
				}
				for k, v := range s.configs() {
					if got := topic.Configs[k]; got != v {
						t.Errorf("%s: %s is %q, want %q", s.Name, k, got, v)
					}
				}
			}
		})
	}
	wg.Wait()
	needed[0].Partitions, needed[2].Kind = 7, ChangelogCompact
	if _, err := Ensure(ctx, cl, needed); err == nil {
		t.Error("topics that do not fit were accepted")
	} else {
		t.Log(err)
	}
	repartition := names[2]
	produce(t, cl, repartition, 10)
	NewPurger(cl, slog.New(slog.NewTextHandler(t.Output(), nil))).Purge(ctx, Offsets{repartition: {0: 7}})
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, repartition)
	if err != nil {
		t.Fatal(err)
	}
	if start, _ := starts.Lookup(repartition, 0); start.Offset != 7 {
		t.Errorf("log start %d, want 7", start.Offset)
	}
	described, err := Describe(ctx, cl, []string{repartition, app + "-missing"})
	if err != nil || described[repartition].Missing || !described[app+"-missing"].Missing {
		t.Errorf("got %+v, %v", described, err)
	}
}
