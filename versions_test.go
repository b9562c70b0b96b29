package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace-streams/millrace"
)

// Brokers that are too old for the guarantee are refused before anything is created. With
// the oldest supported brokers, an application counts, restarts and restores as with the
// newest ones.
func TestOldBrokers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kafka     string
		versions  *kversion.Versions
		guarantee millrace.Guarantee
		refused   string
	}{
		{"2.3", kversion.V2_3_0(), millrace.AtLeastOnce, "too old for at-least-once: Kafka 2.4 or later is needed"},
		{"2.4", kversion.V2_4_0(), millrace.AtLeastOnce, ""},
		{"2.4", kversion.V2_4_0(), millrace.ExactlyOnce, "too old for exactly-once: Kafka 2.5 or later is needed"},
		{"2.5", kversion.V2_5_0(), millrace.ExactlyOnce, ""},
		{"2.8", kversion.V2_8_0(), millrace.ExactlyOnce, ""},
		{"3.0", kversion.V3_0_0(), millrace.ExactlyOnce, ""},
		{"4.0", kversion.V4_0_0(), millrace.ExactlyOnce, ""},
	} {
		t.Run(fmt.Sprint(tc.kafka, " ", tc.guarantee), func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				cfg := c.config("app", t.TempDir())
				cfg.Guarantee = tc.guarantee
				if tc.refused != "" {
					c.refuses(t, cfg, tc.refused)
					return
				}
				c.counts(t, cfg, 1)
				c.counts(t, cfg, 2) // with the state directory
				cfg.StateDir = t.TempDir()
				c.counts(t, cfg, 3) // from the changelogs
			}, kfake.SeedTopics(3, "in", "out"), kfake.MaxVersions(tc.versions))
		})
	}
}

func (c *cluster) refuses(t *testing.T, cfg millrace.Config, words string) {
	t.Helper()
	topo, _ := counting(t)
	err := run(t, topo, cfg).wait()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v\nwant an error with %q", err, words)
	}
	if info := c.TopicInfo("app-by-value-repartition"); info != nil {
		t.Error("a topic was made")
	}
}

// counts runs the application once more, for the nth time, with three more records.
func (c *cluster) counts(t *testing.T, cfg millrace.Config, nth int) {
	t.Helper()
	topo, table := counting(t)
	app := run(t, topo, cfg)
	c.send("in", "1=x", "2=y", "3=x")
	if got, want := c.read("out", 3*nth), fmt.Sprint("x=", 2*nth); !slices.Contains(got, want) {
		t.Errorf("got %v, want %s in it", got, want)
	}
	n, ok, err := millrace.Get(context.Background(), app.App, table, "x")
	if err != nil || !ok || n != int64(2*nth) {
		t.Errorf("Get: %d, %v, %v", n, ok, err)
	}
	app.stop()
}
