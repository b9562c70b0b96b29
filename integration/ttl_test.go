package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestTTL: on real Kafka too, rows expire by stream time. Their deletions are in the
// changelog and in the output, once, also after a lost disk.
func TestTTL(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	in, out, id := name(t, "in"), name(t, "out"), name(t, "app")
	c.createTopic(t, in, 1)
	c.createTopic(t, out, 1)
	c.cleanUp(t, id)
	b := topology.New()
	topology.SourceTable(b, in, serde.String, serde.String, topology.TTL(time.Hour)).Stream().To(out)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	client := c.client(t)
	send := func(key string, hours int64) {
		t.Helper()
		r := &kgo.Record{Topic: in, Key: []byte(key), Value: []byte("v"), Timestamp: time.Unix(hours*3600, 0)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	// rows waits until a topic has n records, and returns them.
	rows := func(topic string, n int) (texts []string) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for len(texts) < n && time.Now().Before(deadline) {
			texts = nil
			c.read(t, topic, func(r *kgo.Record) {
				texts = append(texts, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, r.Timestamp.Unix()/3600))
			})
			pause(100 * time.Millisecond)
		}
		return texts
	}
	expect := func(want ...string) {
		t.Helper()
		for _, topic := range []string{out, id + "-" + in + "-changelog"} {
			if got := rows(topic, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("topic %s has %q, want %q", topic, got, want)
			}
		}
	}
	run := func() (stop func()) {
		app, err := millrace.New(topo, millrace.Config{ApplicationID: id, Brokers: []string{c.brokers}, StateDir: dir, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		return runApp(t, app)
	}

	stop := run()
	send("ann", 1000)
	expect("ann=v@1000")
	send("bob", 1001) // ann expires
	expect("ann=v@1000", "bob=v@1001", "ann=@1001")
	stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	defer run()()
	send("cid", 1002) // bob expires, which only the changelog knows
	expect("ann=v@1000", "bob=v@1001", "ann=@1001", "cid=v@1002", "bob=@1002")
}
