package millrace_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// numbers counts the values of "in", which are numbers; windowed, per hour.
func numbers(t testing.TB, windowed bool) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	grouped := topology.GroupBy(in, "by-value", func(v int64) int64 { return v }, serde.Int64)
	if windowed {
		grouped.Window(topology.Tumbling(time.Hour)).Count("counts")
	} else {
		grouped.Count("counts")
	}
	return build(t, b)
}

// windowKey is the key of a window store's changelog.
func windowKey(key string, start uint64, seq uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64([]byte(key), start), seq)
}

// If a changelog has a record that the store cannot have written, Run ends with an error
// that names the record and the reason.
func TestChangelogOfAnotherStore(t *testing.T) {
	t.Parallel()
	windowed, counted := windows(t), numbers(t, false)
	for name, tc := range map[string]struct {
		topo *topology.Topology
		key  []byte
		want string // "" if the record may be one of the store
	}{
		"too short for a window":           {windowed, []byte("a"), "fewer than the 12"},
		"a key-value store's long key":     {windowed, []byte("customer-4711-and-more"), "sequence number"},
		"a URL":                            {windowed, []byte("https://example.com/a/b/c"), "sequence number"},
		"numbers":                          {windowed, make([]byte, 11), "fewer than the 12"},
		"a window before 1970":             {windowed, windowKey("a", 1<<63, 0), "negative window start"},
		"a number of duplicates":           {windowed, windowKey("a", 0, 1), "sequence number"},
		"a window of a key that is no key": {numbers(t, true), windowKey("abc", 0, 0), "cannot be decoded by"},
		"a window":                         {windowed, windowKey("a", 0, 0), ""},
		"text in a table of numbers":       {counted, []byte("customer" + "-4711"), "cannot be decoded by"},
		"a window in a table of numbers":   {counted, windowKey("12345678", 60_000, 0), "cannot be decoded by"},
		"a number":                         {counted, make([]byte, 8), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				cfg := c.config("app", t.TempDir())
				first := run(t, tc.topo, cfg)
				eventually(t, "it runs", func() bool { return first.State() == millrace.Running })
				first.stop()
				record := &kgo.Record{Topic: changelog, Key: tc.key, Value: make([]byte, 8)}
				if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
					t.Fatal(err)
				}
				cfg.StateDir = t.TempDir()
				app := run(t, tc.topo, cfg)
				if tc.want == "" {
					eventually(t, "it runs", func() bool { return app.State() == millrace.Running })
					app.stop()
					return
				}
				err := app.wait()
				for _, part := range []string{tc.want, "store counts", changelog, "partition 0", "offset 0"} {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not say %q: %v", part, err)
					}
				}
			}, kfake.SeedTopics(1, "in", "out"))
		})
	}
}

// lines collects the log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

// Every step of the start, and the restore, is made to fail. A step that is tried again
// is logged with its cause. If waiting cannot help, Run ends.
func TestRetriesSayWhy(t *testing.T) {
	t.Parallel()
	topo, _ := counting(t)
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.CreateTopics, kmsg.OffsetFetch, kmsg.ListOffsets} {
		for _, answer := range []struct {
			err   *kerr.Error
			fatal bool
		}{{kerr.NotLeaderForPartition, false}, {kerr.TopicAuthorizationFailed, true}} {
			t.Run(fmt.Sprintf("%v %v", key.Name(), answer.err.Message), func(t *testing.T) {
				t.Parallel()
				virtually(t, func(t *testing.T, c *cluster) {
					cfg, log := c.config("app", t.TempDir()), &lines{}
					cfg.Logger = logTo(log)
					fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: answer.err, Count: -1})
					app := run(t, topo, cfg)
					if answer.fatal {
						if err := app.wait(); err == nil || !strings.Contains(err.Error(), answer.err.Message) {
							t.Errorf("Run: %v", err)
						}
						return
					}
					eventually(t, "the cause is logged", func() bool { return log.has(answer.err.Message) })
					fault.Remove()
					eventually(t, "it runs", func() bool { return app.State() == millrace.Running })
					app.stop()
				}, kfake.SeedTopics(1, "in", "out"))
			})
		}
	}
}
