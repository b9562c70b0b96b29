package task

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// numbers is a store of numbers by key: the least code that keeps two generations.
type numbers struct {
	name     string
	env      engine.Env
	filling  map[string]string
	flushing map[string]string
	closed   bool
}

type numbersSpec struct {
	name       string
	noLog      bool
	persistent bool
}

// describe returns the spec in the graph's form.
func (s numbersSpec) describe() *store.Spec {
	spec := store.Spec{
		Name: s.name, Kind: store.KeyValue, Keys: serde.Bytes, Values: serde.Bytes,
		Options: store.Options{InMemory: !s.persistent, NoChangelog: s.noLog},
	}
	return store.NewUntyped(spec, func(env engine.Env) (engine.Store, error) {
		return &numbers{name: s.name, env: env, filling: map[string]string{}}, nil
	})
}

func (s *numbers) Name() string      { return s.name }
func (s *numbers) StoreName() string { return s.name }
func (s *numbers) Close() error      { s.closed = true; return nil }
func (s *numbers) Committed()        { s.flushing = nil }
func (s *numbers) Trim()             {}

func (s *numbers) get(key string) (string, error) {
	for _, m := range []map[string]string{s.filling, s.flushing} {
		if v, ok := m[key]; ok {
			return v, nil
		}
	}
	row, _, err := s.env.Table.Get([]byte(key))
	return string(row.Value), err
}

func (s *numbers) put(key, value string) {
	s.filling[key] = value
	*s.env.Time = max(*s.env.Time, s.env.Now())
}

func (s *numbers) Flush(b *engine.TableBatch) error {
	for _, key := range slices.Sorted(maps.Keys(s.filling)) {
		value := []byte(s.filling[key])
		if s.env.Log != nil {
			if err := s.env.Log([]byte(key), value, s.env.Now(), &engine.Origin{Topic: "in", Offset: 7}); err != nil {
				return err
			}
		}
		if err := b.Set([]byte(key), s.env.Now(), value); err != nil {
			return err
		}
	}
	s.flushing, s.filling = s.filling, map[string]string{}
	return nil
}

// appending appends each value to the row of its key, and sends the row.
func appending(spec numbersSpec) *graph.Graph {
	b := &builder{}
	var rows *numbers
	p := b.process("append", func(p *fakeProcessor) {
		s, err := p.t.Store(spec.name)
		if err != nil {
			panic(err)
		}
		rows = s.(*numbers)
	}, func(p *fakeProcessor, r *rec) error {
		row, err := rows.get(r.Key)
		if err != nil {
			return err
		}
		rows.put(r.Key, row+r.Value)
		return p.forward(r.Key, row+r.Value, r.Timestamp)
	}, b.source(false, "in"))
	b.sub.Stores = append(b.sub.Stores, &graph.Store{Name: spec.name, Spec: spec.describe(), Nodes: []*graph.Node{p}})
	b.sink("out", p)
	return b.graph()
}

func storeShell(t *testing.T, spec numbersSpec) (*shell, *engine.DB) {
	shared := engine.NewShared(0)
	db, err := engine.Open(engine.Options{Dir: "state", FS: vfs.NewMem(), Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t, appending(spec), "in")
	s.cfg.DB = db
	t.Cleanup(func() {
		if err := errors.Join(s.task.Close(), db.Close()); err != nil {
			t.Error(err)
		}
		shared.Close()
	})
	s.start()
	return s, db
}

func row(t *testing.T, db *engine.DB, key string) string {
	t.Helper()
	table, err := db.Table("numbers", true)
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := table.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return string(found.Value)
}

func TestCommitAppliesStores(t *testing.T) {
	t.Parallel()
	s, db := storeShell(t, numbersSpec{name: "numbers", persistent: true})
	s.add("in", in("k", "a", 5), in("k", "b", 7), in("k", "c", 6))
	if _, err := s.task.Process(time.UnixMilli(0), 2); err != nil {
		t.Fatal(err)
	}
	c, err := s.task.Begin()
	if err != nil {
		t.Fatal(err)
	}
	s.wantOpen("out k=a@5", "out k=ab@7", "app-numbers-changelog k=ab@7")
	s.run() // belongs to the next transaction; it reads values that are being committed
	if got := row(t, db, "k"); got != "" {
		t.Errorf("the database has %q before the transaction is confirmed", got)
	}
	for _, o := range c.Offsets {
		s.offsets[Partition{o.Topic, o.Partition}] = Committed{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, Metadata: o.Metadata}
	}
	if err := s.task.Finish(map[string]int64{"app-numbers-changelog": 11}); err != nil {
		t.Fatal(err)
	}
	if got := row(t, db, "k"); got != "ab" {
		t.Errorf("the database has %q, want ab", got)
	}
	table, _ := db.Table("numbers", true)
	if p, ok := db.Position(table, "app-numbers-changelog"); !ok || p != 11 {
		t.Errorf("changelog position %d, %v, want 11", p, ok)
	}
	if at, ok := db.Time("#store/numbers"); !ok || at != 7 {
		t.Errorf("store time %d, %v, want 7", at, ok)
	}
	s.wantOpen("out k=a@5", "out k=ab@7", "app-numbers-changelog k=ab@7", "out k=abc@6")

	s.abort() // drops c
	if err := s.task.Add("in", 0, []graph.Input{{Topic: "in", Offset: 2, Key: []byte("k"), Value: []byte("d"), Timestamp: 8}}, 0); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.commit()
	if got := row(t, db, "k"); got != "abd" {
		t.Errorf("the database has %q, want abd", got)
	}
}

// The database's times are used only if the group has no offsets. Otherwise Kafka's times
// win, because the database may be old.
func TestTimesOfKafkaWin(t *testing.T) {
	t.Parallel()
	s, db := storeShell(t, numbersSpec{name: "numbers", persistent: true})
	s.add("in", in("k", "a", 5))
	s.run()
	s.commit()
	ahead := metadata{partitionTime: 9, values: map[string]int64{"#store/numbers": 8, sequenceName: 4}}
	s.offsets[Partition{"in", 0}] = Committed{Topic: "in", Offset: 2, Metadata: ahead.encode()}
	s.abort()
	if got := *s.task.cells.storeTime("numbers"); got != 8 || s.task.cells.sequence != 4 {
		t.Errorf("store time %d, want Kafka's 8", got)
	}
	s.offsets[Partition{"in", 0}] = Committed{Topic: "in"}
	s.abort()
	if got := *s.task.cells.storeTime("numbers"); got != 5 || s.task.cells.sequence != 1 {
		t.Errorf("store time %d, want the database's 5; it has %v", got, db.Times())
	}
	s.offsets[Partition{"in", 0}] = Committed{Topic: "in", Metadata: "no base64"}
	s.abort()
	if got := *s.task.cells.storeTime("numbers"); got != 5 {
		t.Errorf("store time %d, want the database's 5", got)
	}
}

func TestChangelogAlwaysFails(t *testing.T) {
	t.Parallel()
	s, _ := storeShell(t, numbersSpec{name: "numbers", persistent: true})
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.Skip, Produce: processor.Skip}
	s.limit["app-numbers-changelog"] = 150
	s.abort()
	s.add("in", in("k", strings.Repeat("x", 100), 5))
	s.run()
	var e *processor.Error
	var large *TooLargeError
	if _, err := s.task.Begin(); !errors.As(err, &e) || !errors.As(err, &large) || e.Phase != processor.Produce {
		t.Fatalf("got %v, want that the changelog record is too large", err)
	}
}

func TestStoreWithoutChangelog(t *testing.T) {
	t.Parallel()
	s, db := storeShell(t, numbersSpec{name: "numbers", persistent: true, noLog: true})
	s.add("in", in("k", "a", 5))
	s.run()
	s.commit()
	if want := []string{"out k=a@5"}; !slices.Equal(s.committed, want) {
		t.Errorf("committed %q, want %q", s.committed, want)
	}
	if got := row(t, db, "k"); got != "a" {
		t.Errorf("the database has %q, want a", got)
	}
}

func TestStoresNeedADatabase(t *testing.T) {
	t.Parallel()
	g := appending(numbersSpec{name: "numbers"})
	if _, err := New(Config{Graph: g}); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("New returned %v", err)
	}
	s, _ := storeShell(t, numbersSpec{name: "numbers"})
	if _, err := s.task.Store("none"); err == nil {
		t.Error("Store found what is not there")
	}
	if store, err := s.task.Store("numbers"); err != nil || store.Name() != "numbers" {
		t.Errorf("Store returned %v, %v", store, fmt.Sprint(err))
	}
}
