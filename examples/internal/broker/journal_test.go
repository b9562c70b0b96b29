package broker_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/internal/broker"
)

// commit reads an input record. In one transaction, it writes a record to each partition
// of out, and the group's offset.
func commit(t *testing.T, brokers []string, name string) {
	t.Helper()
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(brokers...), kgo.TransactionalID("id"), kgo.ConsumerGroup("group"), kgo.ConsumeTopics("in"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("out"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if fetches := s.PollRecords(t.Context(), 1); fetches.Err() != nil {
		t.Fatal(fetches.Err())
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	for partition := range int32(3) {
		if err := s.ProduceSync(t.Context(), &kgo.Record{Partition: partition, Value: []byte(name)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := s.End(t.Context(), kgo.TryCommit); !committed || err != nil {
		t.Fatalf("not committed: %v", err)
	}
}

// state returns what a reader finds up to the ends of the partitions: the offset of the
// group, and the records of out.
func state(t *testing.T, client *kgo.Client, brokers []string) string {
	t.Helper()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), "group")
	if err != nil {
		t.Fatal(err)
	}
	at, _ := offsets.Lookup("in", 0)
	reader, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("out"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(t.Context(), "out")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var values []string
	for left := 3; left > 0; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("the ends are not reached: %v", err)
		}
		for r := range fetches.RecordsAll() {
			if !r.Attrs.IsControl() {
				values = append(values, fmt.Sprintf("%s/%d", r.Value, r.Partition))
			}
			if end, _ := ends.Lookup("out", r.Partition); r.Offset+1 == end.Offset {
				left--
			}
		}
	}
	slices.Sort(values)
	return fmt.Sprint(at.At, values)
}

// TestKilledInACommit: after a kill, a commit has no effect unless all of its steps were
// completed.
func TestKilledInACommit(t *testing.T) {
	t.Parallel()
	const (
		before = "1 [one/0 one/1 one/2]"
		after  = "2 [one/0 one/1 one/2 two/0 two/1 two/2]"
		more   = " three/0 three/1 three/2"
	)
	live := t.TempDir()
	brokers, client := start(t, live)
	if err := broker.Create(t.Context(), client, 1, "in"); err != nil {
		t.Fatal(err)
	}
	if err := broker.Create(t.Context(), client, 3, "out"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "in"}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, brokers, "one")
	commit(t, brokers, "two")

	marker := func(partition int) string { // the file whose last batch is a marker
		return fmt.Sprintf("partitions/out-%d/0.dat", partition)
	}
	for _, test := range []struct {
		name string
		want string
		undo []string // files that do not have the data that the commit appended
	}{
		{"all steps", after, nil},
		{"no step", before, []string{"pids.log", "groups.log", marker(0), marker(1), marker(2)}},
		{"a marker", before, []string{"pids.log", "groups.log", marker(0), marker(2)}},
		{"all markers", before, []string{"pids.log", "groups.log"}},
		{"offsets", before, []string{"pids.log"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			clone(t, live, dir)
			for _, name := range test.undo {
				cutCommit(t, dir, name)
			}
			brokers, client := start(t, dir)
			if got := state(t, client, brokers); got != test.want {
				t.Fatalf("committed is %s, want %s", got, test.want)
			}
			again := t.TempDir()
			// it also has no effect after another kill and a commit by the same producer
			clone(t, dir, again)
			brokers, client = start(t, again)
			commit(t, brokers, "three")
			want := strings.Replace(strings.Replace(test.want, "2 [", "3 [", 1), "1 [", "2 [", 1)
			want = strings.Replace(want, "one/2", "one/2"+more, 1)
			if got := state(t, client, brokers); got != want {
				t.Errorf("after another commit, committed is %s, want %s", got, want)
			}
		})
	}
}

// start opens the broker. It is closed at the end of the test, or when it is started
// again.
func start(t *testing.T, dir string) ([]string, *kgo.Client) {
	t.Helper()
	brokers, stop, err := broker.Embedded(dir)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		stop()
	})
	return brokers, client
}

// clone copies the files on the disk, as a kill leaves them.
func clone(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// cutCommit removes the data that the last commit appended to a file.
func cutCommit(t *testing.T, dir, name string) {
	t.Helper()
	noted, err := os.ReadFile(filepath.Join(dir, "broker.commit"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "broker", name)
	n := fileSize(t, path) - markerSize
	switch name {
	case "groups.log":
		n = int64(binary.BigEndian.Uint64(noted[10:]))
	case "pids.log":
		n = int64(binary.BigEndian.Uint64(noted[18:]))
	}
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

// markerSize is the size of a batch that ends a transaction.
const markerSize = 78

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
