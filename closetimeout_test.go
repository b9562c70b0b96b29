package millrace

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// stuckHook blocks in the call that it is told to block in.
type stuckHook struct {
	in      string
	release chan struct{}
}

func (h stuckHook) call(name string) {
	if name == h.in {
		<-h.release
	}
}

func (h stuckHook) OnStateChange(_, to State)         { h.call(to.String()) }
func (h stuckHook) OnRebalance(Rebalance)             { h.call("rebalance") }
func (h stuckHook) OnCommit(Commit)                   { h.call("commit") }
func (h stuckHook) OnRestoreProgress(RestoreProgress) { h.call("restore") }

// closing is an application in which something gets stuck.
type closing struct {
	cfg     Config
	cluster *kafkatest.Cluster
	line    *line
	release chan struct{}
	user    func() // called for each record
	in      string // the call of a processor that blocks
	fs      vfs.FS // nil: the disk

	once sync.Once
}

func (c *closing) topology(t *testing.T) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String).Peek(func(string) { c.user() })
	topology.Process(in, "slow", func() *slow { return &slow{c} }, serde.String, serde.String)
	topology.GroupByKey(in, "by-key").Count("counts")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// slow is a processor that blocks in the call that closing.in names.
type slow struct{ *closing }

func (p *slow) call(name string) error {
	if name == p.in {
		<-p.release
	}
	return nil
}

type bytesContext = processor.Context[string, string]

func (p *slow) Init(ctx bytesContext) error {
	ctx.Every(time.Second, processor.WallClock, func(bytesContext, time.Time) error { return p.call("a punctuator") })
	return p.call("Init")
}

func (p *slow) Process(ctx bytesContext, _ processor.Record[string, string]) error {
	ctx.OnCommitted(func() { _ = p.call("OnCommitted") })
	return p.call("Process")
}

func (p *slow) Flush(bytesContext) error { return p.call("Flush") }
func (p *slow) Close() error             { return p.call("Close") }

// stuckDisk is a file system on which closing a file never ends once the application
// closes.
type stuckDisk struct {
	vfs.FS
	closing atomic.Bool
	release chan struct{}
}

func (d *stuckDisk) OnStateChange(_, to State) {
	if to == Closing {
		d.closing.Store(true)
	}
}

func (d *stuckDisk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, category)
	return &stuckFile{f, d}, err
}

type stuckFile struct {
	vfs.File
	disk *stuckDisk
}

func (f *stuckFile) Close() error {
	if f.disk.closing.Load() {
		<-f.disk.release
	}
	return f.File.Close()
}

// silentAt makes the network silent with the first request of a kind.
func (c *closing) silentAt(key kmsg.Key) {
	c.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.once.Do(c.line.freeze)
		return nil, nil, false
	})
}

// Run returns within CloseTimeout, whatever part is stuck.
func TestCloseTimeoutIsABound(t *testing.T) {
	t.Parallel()
	const limit = 3 * time.Second
	cases := map[string]func(*closing){
		"nothing":         func(*closing) {},
		"one worker":      func(c *closing) { c.cfg.Workers, c.user = 1, func() { <-c.release } },
		"two workers":     func(c *closing) { c.user = func() { <-c.release } },
		"silent brokers":  func(c *closing) { c.user = func() { c.once.Do(c.line.freeze) } },
		"killed brokers":  func(c *closing) { c.user = func() { c.once.Do(c.line.sever) } },
		"brokers at last": func(c *closing) { c.silentAt(kmsg.LeaveGroup) },
		"a dialer without a limit": func(c *closing) {
			c.cfg.ClientOptions = []kgo.Opt{kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
				<-c.release
				return nil, net.ErrClosed
			})}
		},
	}
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.CreateTopics, kmsg.InitProducerID, kmsg.JoinGroup, kmsg.OffsetFetch, kmsg.ListOffsets, kmsg.Fetch, kmsg.EndTxn} {
		cases["silence since "+key.Name()] = func(c *closing) { c.silentAt(key) }
	}
	for _, call := range []string{"starting", "running", "closing", "closed", "rebalance", "commit", "restore"} {
		cases["a hook: "+call] = func(c *closing) { c.cfg.Hooks = []Hook{stuckHook{call, c.release}} }
	}
	for _, call := range []string{"Init", "Process", "Flush", "Close", "OnCommitted", "a punctuator"} {
		cases["a processor: "+call] = func(c *closing) { c.in = call }
	}
	cases["a disk"] = func(c *closing) {
		disk := &stuckDisk{FS: vfs.NewMem(), release: c.release}
		c.fs, c.cfg.Hooks = disk, []Hook{disk}
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
				c := &closing{cluster: cluster, line: newLine(cluster.Net.DialContext), release: make(chan struct{}), user: func() {}}
				c.cfg = Config{
					ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: dir, Workers: 2, CloseTimeout: limit,
					ClientOptions: []kgo.Opt{kgo.Dialer(c.line.DialContext)},
				}
				prepare(c)
				cl := cluster.Client()
				for _, key := range []string{"a", "b", "c", "d"} {
					if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Key: []byte(key)}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				app, err := New(c.topology(t), c.cfg)
				if err != nil {
					t.Fatal(err)
				}
				app.seams.FS = c.fs
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- app.Run(ctx) }()
				<-time.After(30 * time.Second)
				began := time.Now()
				stop()
				err = <-ended
				if took := time.Since(began); took > limit {
					t.Errorf("Run took %v to return, with %v", took, err)
				}
				if err != nil && !strings.Contains(err.Error(), "CloseTimeout") && !errors.Is(err, ErrNoBroker) {
					t.Error(err)
				}
				synctest.Wait()
				if s := app.State(); s != Closed && s != Failed || (s == Failed) != (err != nil) {
					t.Errorf("state %v after %v", s, err)
				}
				close(c.release)
				c.line.thaw()
			}, kfake.SeedTopics(4, "in"))
		})
	}
}
