package runtime

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// A client has become another member without notice. In one callback it loses all tasks
// and is assigned the same ones. Meanwhile user code blocks a worker for so long that Run
// no longer waits for it. The databases of the lost tasks are still closed.
func TestTasksLostAndAssignedAtTheEnd(t *testing.T) {
	t.Parallel()
	dir, fs := t.TempDir(), vfs.NewMem()
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		entered, leave := make(chan struct{}), make(chan struct{})
		b := topology.New()
		stream := topology.Source(b, "in", serde.String, serde.String).Peek(func(string) {
			close(entered)
			<-leave
		})
		topology.GroupByKey(stream, "by-key").Count("counts")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		g, err := graph.Of(topo)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		s := New(ctx, Config{
			ApplicationID: "app", Graph: g, Brokers: cluster.ListenAddrs(), ClientOptions: cluster.Dial(), StateDir: dir,
			ExactlyOnce: true, Workers: 1, CommitInterval: 100 * time.Millisecond, TransactionTimeout: 10 * time.Second,
			SessionTimeout: 15 * time.Second, CloseTimeout: time.Second, StateMemory: 16 << 20, BufferMemory: 1 << 20,
			ReplicationFactor: -1, Logger: slog.Default(), Events: silent{}, Seams: Seams{FS: fs},
		})
		ended := make(chan error)
		go func() { ended <- s.Run() }()
		cl := cluster.Client()
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "in", Key: []byte("k")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		<-entered

		tasks := s.tasks.ids()
		paths := make([]string, len(tasks))
		for i, id := range tasks {
			if paths[i], err = s.dir.TaskDir(s.layout.dirOf(id)); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		s.group.Lost(tasks)
		s.group.Assigned(1, tasks)
		close(leave)
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if len(tasks) == 0 {
			t.Error("there were no tasks")
		}
		shared := engine.NewShared(0)
		defer shared.Close()
		for _, path := range paths {
			db, err := engine.Open(engine.Options{Dir: path, FS: fs, Shared: shared})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Table("counts", true); err != nil {
				t.Errorf("the database in %s is still open: %v", path, err)
			}
			db.Close()
		}
	}, kfake.SeedTopics(1, "in"))
}

// silent receives events and does nothing.
type silent struct{}

func (silent) State(State)                                {}
func (silent) Rebalance(Rebalance)                        {}
func (silent) Restoring(RestoreProgress)                  {}
func (silent) Wiped(StateWiped)                           {}
func (silent) Committed(worker.Commit)                    {}
func (silent) Dropped(Dropped)                            {}
func (silent) Errored(*processor.Error, processor.Action) {}
func (silent) Reach(health.Report)                        {}
func (silent) BufferFull(BufferFull)                      {}
func (silent) Migrated(Migrated)                          {}
func (silent) TableRetention(TableRetention)              {}
