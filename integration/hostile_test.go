package integration

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// hostileDefaults are broker defaults that would damage internal topics. If an internal
// topic inherits them, it loses or refuses records as soon as the broker applies them.
var hostileDefaults = map[string]string{
	"KAFKA_LOG_RETENTION_MS":                    "1000",
	"KAFKA_LOG_RETENTION_BYTES":                 "1",
	"KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS":     "200",
	"KAFKA_LOG_SEGMENT_BYTES":                   "1048576",
	"KAFKA_LOG_ROLL_MS":                         "1000",
	"KAFKA_LOG_CLEANUP_POLICY":                  "delete",
	"KAFKA_LOG_CLEANER_DELETE_RETENTION_MS":     "0",
	"KAFKA_LOG_CLEANER_BACKOFF_MS":              "200",
	"KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE":          "LogAppendTime",
	"KAFKA_LOG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS": "60000",
	"KAFKA_LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS":  "60000",
	"KAFKA_COMPRESSION_TYPE":                    "gzip",
	"KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE":      "true",
}

var hostileCluster struct {
	once sync.Once
	*cluster
	err error
}

// hostile returns a cluster with hostileDefaults. The tests that need it share it.
func hostile(t *testing.T) *cluster {
	t.Helper()
	if kafka(t).broker == nil {
		t.Skip("needs a broker with defaults of its own")
	}
	h := &hostileCluster
	h.once.Do(func() { h.cluster, h.err = startSomewhere(context.Background(), hostileDefaults) })
	if h.err != nil {
		t.Fatal(h.err)
	}
	return h.cluster
}

func stopHostile() {
	h := &hostileCluster
	h.once.Do(func() {}) // from now on no test starts it
	if h.cluster != nil {
		h.stop()
	}
}

// hours is an application that counts the records of a topic by key and hour through a
// repartition topic, and sends every update. In and out keep their records.
type hours struct {
	c                    *cluster
	t                    *testing.T
	application, in, out string
	want                 map[string]int64
}

func (c *cluster) hours(t *testing.T) *hours {
	t.Helper()
	h := &hours{c: c, t: t, application: name(t, "app"), in: name(t, "in"), out: name(t, "out"), want: map[string]int64{}}
	for _, topic := range []string{h.in, h.out} {
		c.createTopicWith(t, topic, 1, map[string]string{
			"retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "CreateTime",
			"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "9223372036854775807",
		})
	}
	c.cleanUp(t, h.application)
	return h
}

func (h *hours) topology() *topology.Topology {
	h.t.Helper()
	b := topology.New()
	in := topology.Source(b, h.in, serde.String, serde.String)
	counts := topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).
		Window(topology.Tumbling(time.Hour).Grace(time.Hour)).Count("hours", topology.EveryUpdate())
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, int64] {
		return processor.NewRecord(fmt.Sprint(r.Key.Key, "@", r.Key.Window.Start), r.Value, r.Timestamp)
	}, serde.String, serde.Int64).To(h.out)
	topo, err := b.Build()
	if err != nil {
		h.t.Fatal(err)
	}
	return topo
}

// run runs the application on an empty disk until all sent records are counted.
func (h *hours) run() {
	h.t.Helper()
	stop := h.start()
	h.c.drained(h.t, nil, h.application, h.in, h.application+"-by-value-repartition")
	if err := stop(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hours) config() millrace.Config {
	return millrace.Config{
		ApplicationID: h.application, Brokers: []string{h.c.brokers}, StateDir: h.t.TempDir(),
		Logger: slog.New(slog.NewTextHandler(h.t.Output(), nil)),
	}
}

// start starts the application on an empty disk. The result ends it, and returns Run's
// error.
func (h *hours) start() (stop func() error) {
	h.t.Helper()
	app, err := millrace.New(h.topology(), h.config())
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// send produces n records of each value with the given timestamp.
func (h *hours) send(at time.Time, n int, values ...string) {
	h.t.Helper()
	client := h.c.client(h.t, kgo.DefaultProduceTopic(h.in), kgo.MaxBufferedRecords(n*len(values)+1))
	for range n {
		for _, v := range values {
			client.Produce(h.t.Context(), &kgo.Record{Value: []byte(v), Timestamp: at}, nil)
		}
	}
	if err := client.Flush(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	for _, v := range values {
		h.want[fmt.Sprint(v, "@", at.Truncate(time.Hour).UnixMilli())] += int64(n)
	}
}

// check checks that each window was counted up to the number of sent records, in single
// steps.
func (h *hours) check() {
	h.t.Helper()
	got := h.c.counts(h.t, h.out)
	for key, n := range h.want {
		counts := got[key]
		for i, count := range counts {
			if count != int64(i+1) {
				h.t.Errorf("%s: update %d is %d", key, i, count)
				break
			}
		}
		if int64(len(counts)) != n {
			h.t.Errorf("%s: %d updates, want %d", key, len(counts), n)
		}
	}
}

// retentionRuns waits until the broker has deleted new records from a topic with its
// defaults. By then it has checked all topics.
func (c *cluster) retentionRuns(t *testing.T) {
	t.Helper()
	canary, admin := name(t, "canary"), c.admin(t)
	c.createTopic(t, canary, 1)
	client := c.client(t, kgo.DefaultProduceTopic(canary))
	for range 2 { // the first may be deleted early in a round
		if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for {
			starts, err := admin.ListStartOffsets(t.Context(), canary)
			if err != nil {
				t.Fatal(err)
			}
			ends, err := admin.ListEndOffsets(t.Context(), canary)
			if err != nil {
				t.Fatal(err)
			}
			start, _ := starts.Lookup(canary, 0)
			if end, _ := ends.Lookup(canary, 0); end.Offset > 0 && start.Offset == end.Offset {
				break
			}
			pause(50 * time.Millisecond)
		}
	}
}

// TestWindowsOutliveTheBrokersClock: windows that are open in stream time keep their
// counts after the loss of a disk. This holds for old records, and after the input has
// stopped.
func TestWindowsOutliveTheBrokersClock(t *testing.T) {
	t.Parallel()
	c := hostile(t)
	for when, at := range map[string]time.Time{"old": time.Date(2001, 1, 1, 12, 0, 0, 0, time.UTC), "now": time.Now()} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			h := c.hours(t)
			h.send(at, 4, "a", "b")
			h.run()
			c.retentionRuns(t)
			h.send(at, 1, "a", "b")
			h.run()
			h.check()
		})
	}
}

// TestWindowsOutliveTheBrokersSizes: the changelog holds several times the size that a
// topic may have with the broker's defaults.
func TestWindowsOutliveTheBrokersSizes(t *testing.T) {
	t.Parallel()
	h := hostile(t).hours(t)
	var values []string
	for i := range 30 {
		values = append(values, fmt.Sprint(i, strings.Repeat("-", 4000)))
	}
	at := time.Now()
	h.send(at, 35, values...) // 1050 updates, 4 MB
	h.run()
	h.c.retentionRuns(t)
	h.send(at, 1, values...)
	h.run()
	h.check()
}

// TestRepartitionTopicByTimeOfWriting: an operator has created the repartition topic with
// LogAppendTime. The topic would put all records into a window of today. The application
// refuses it, and names a command that corrects it.
func TestRepartitionTopicByTimeOfWriting(t *testing.T) {
	t.Parallel()
	h := hostile(t).hours(t)
	repartition := h.application + "-by-value-repartition"
	h.c.createTopic(t, repartition, 1)
	day := time.Date(2001, 1, 1, 10, 0, 0, 0, time.UTC)
	h.send(day, 2, "a")
	h.send(day.Add(time.Hour), 3, "a")
	app, err := millrace.New(h.topology(), h.config())
	if err != nil {
		t.Fatal(err)
	}
	err = app.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "LogAppendTime") {
		t.Fatalf("Run: %v", err)
	}
	const program = "kafka-configs.sh "
	_, arguments, _ := strings.Cut(err.Error(), program)
	h.c.carryOut(t, program+arguments)
	h.run()
	h.check()
}

// carryOut executes a kafka-configs.sh command.
func (c *cluster) carryOut(t *testing.T, command string) {
	t.Helper()
	topic, settings := command, ""
	if n, err := fmt.Sscanf(command, "kafka-configs.sh --bootstrap-server "+c.brokers+" --alter --entity-type topics --entity-name %s --add-config %s", &topic, &settings); n != 2 {
		t.Fatalf("command %s: %v", command, err)
	}
	var alter []kadm.AlterConfig
	for setting := range strings.SplitSeq(strings.Trim(settings, "'"), ",") {
		name, value, _ := strings.Cut(setting, "=")
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	responses, err := c.admin(t).AlterTopicConfigs(t.Context(), alter, topic)
	if err == nil {
		_, err = responses.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// TestWindowedChangelogIsTrimmed: Kafka accepts the requests that trim a changelog, and a
// process without a disk continues from the rest.
func TestWindowedChangelogIsTrimmed(t *testing.T) {
	t.Parallel()
	h := hostile(t).hours(t)
	changelog := h.application + "-hours-changelog"
	day := time.Date(2001, 1, 1, 10, 0, 0, 0, time.UTC)
	stop := h.start()
	h.send(day, 5, "a", "b")
	// Windows whose rows are in one commit count as written from its begin on, so the
	// second window needs a commit of its own.
	h.c.drained(t, nil, h.application, h.in, h.application+"-by-value-repartition")
	h.send(day.Add(12*time.Hour), 5, "a", "b")
	admin := h.c.admin(t)
	deadline := time.Now().Add(patience)
	for first := int64(0); first < 10; { // the records of the first window
		if time.Now().After(deadline) {
			t.Fatalf("the changelog still starts at offset %d", first)
		}
		starts, err := admin.ListStartOffsets(t.Context(), changelog)
		if err != nil && t.Context().Err() != nil {
			t.Fatal(err)
		}
		at, _ := starts.Lookup(changelog, 0)
		first = at.Offset
		pause(100 * time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	h.send(day.Add(12*time.Hour), 1, "a", "b")
	h.run()
	h.check()
}
