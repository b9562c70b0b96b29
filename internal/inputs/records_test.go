package inputs

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/registrytopic"
	"github.com/millrace-streams/millrace/internal/restore"
)

// One process reads the records that another one has written, with or without records of
// other kinds in the topic.
func TestStartsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "app-stores-registry"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	restorer, err := restore.New(restore.Config{Opts: opts})
	if err != nil {
		t.Fatal(err)
	}
	defer restorer.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mine, theirs := NewRecords("app"), NewRecords("app")
	check(theirs.Read(ctx, restorer))
	one, other := Partition{"in.a-b_c", 0}, Partition{"in.a-b_c", 12}
	check(mine.WriteStarts(ctx, cl, map[Partition]Start{one: {TopicID: TopicID{1}, Run: "a"}, other: {TopicID: TopicID{2}}}))
	check(cl.ProduceSync(ctx, &kgo.Record{Topic: "app-stores-registry", Key: []byte("store/counts"), Value: []byte("{}")}).FirstErr())
	if _, found := theirs.Started(one); found {
		t.Error("found before it was read")
	}
	for _, s := range []*Records{mine, theirs} {
		check(s.Read(ctx, restorer))
		for p, want := range map[Partition]TopicID{one: {1}, other: {2}} {
			if at, found := s.Started(p); !found || at.TopicID != want {
				t.Errorf("%v: got %v, %v", p, at, found)
			}
		}
		if _, found := s.Started(Partition{"in.a-b_c", 1}); found {
			t.Error("found what was not written")
		}
	}
	stop := Stop{Start: Start{TopicID: TopicID{1}, Run: "a"}, Offset: 7, Metadata: "AgAB"}
	check(mine.WriteStops(ctx, cl, map[Partition]Stop{one: stop, other: {Start: Start{TopicID: TopicID{2}}, Offset: 7}}))
	check(theirs.Read(ctx, restorer))
	if at, found := theirs.Stopped(one); !found || at != stop {
		t.Errorf("stopped at %v, %v", at, found)
	}
	if at, found := theirs.Stopped(other); found {
		t.Errorf("a stop without a run counts: %v", at)
	}
	check(mine.WriteStarts(ctx, cl, map[Partition]Start{one: {TopicID: TopicID{3}, Run: "b"}}))
	check(theirs.Read(ctx, restorer))
	if at, _ := theirs.Started(one); at != (Start{TopicID{3}, "b"}) {
		t.Errorf("got %v after an update", at)
	}
	// A process that comes back too late does not restore an old stop.
	check(mine.WriteStops(ctx, cl, map[Partition]Stop{one: stop}))
	check(theirs.Read(ctx, restorer))
	if at, found := theirs.Stopped(one); found {
		t.Errorf("the stop of a former run counts: %v", at)
	}
	check(cl.ProduceSync(ctx, &kgo.Record{Topic: "app-stores-registry", Key: []byte("start/in/0"), Value: []byte("no JSON")}).FirstErr())
	if err := theirs.Read(ctx, restorer); err == nil {
		t.Error("a damaged record is not noticed")
	}
}

func FuzzKey(f *testing.F) {
	f.Add("start/in/0")
	f.Add("start/in/-1")
	f.Add("start//0")
	f.Add("store/in/0")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parseKey(registrytopic.Start, []byte(text))
		if again, okAgain := parseKey(registrytopic.Start, []byte(registrytopic.Start.Key(p.String()))); ok && (!okAgain || again != p) {
			t.Errorf("%q is %v, whose key is %q", text, p, registrytopic.Start.Key(p.String()))
		}
	})
}

// The records of the disks of other processes are untrusted input. What can be read can
// be written, and is then read as the same.
func FuzzDisks(f *testing.F) {
	f.Add("disk/p/in/0", []byte(`{"version":1,"inputs":[{"topic":"in","partition":0,"topic_id":"","offset":5,"metadata":"m"}],"changelogs":[{"topic":"log","topic_id":"","position":-1}]}`))
	f.Add("disk/p/in/-1", []byte(`{}`))
	f.Add("disk//in/0", []byte(`{"inputs":[{"topic_id":"?"}]}`))
	f.Add("disk", []byte(`[]`))
	f.Fuzz(func(t *testing.T, text string, value []byte) {
		k, ok := parseDiskKey([]byte(text))
		if !ok {
			return
		}
		if again, ok := parseDiskKey([]byte(k.String())); !ok || again != k {
			t.Fatalf("%q is %v, which is read as %v, %v", text, k, again, ok)
		}
		read := func(value []byte) (engine.Progress, error) {
			s := &Records{disks: map[diskKey]engine.Progress{}}
			err := s.applyDisk(k, value)
			return s.disks[k], err
		}
		p, err := read(value)
		if err != nil {
			return
		}
		data, err := json.Marshal(diskOf(p))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := read(data); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%s became %+v, %v", value, again, err)
		}
	})
}
