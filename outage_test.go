package millrace

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// network has a separate line to each broker.
type network struct {
	dial func(ctx context.Context, network, host string) (net.Conn, error)

	mu    sync.Mutex
	lines map[string]*line // by host:port
}

func (n *network) line(host string) *line {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lines[host] == nil {
		n.lines[host] = newLine(n.dial)
	}
	return n.lines[host]
}

func (n *network) DialContext(ctx context.Context, network, host string) (net.Conn, error) {
	return n.line(host).DialContext(ctx, network, host)
}

// heard keeps the reports of the hook, and the log.
type heard struct {
	mu    sync.Mutex
	reach []Reachability
	text  strings.Builder
}

func (h *heard) OnReachability(r Reachability) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reach = append(h.reach, r)
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

// last returns the last report of the hook, and whether the log contains a text.
func (h *heard) last(text string) (r Reachability, logged bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reach) > 0 {
		r = h.reach[len(h.reach)-1]
	}
	return r, strings.Contains(h.text.String(), text)
}

func logInto(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// outageWorld is a running application on three brokers.
type outageWorld struct {
	*testing.T
	cluster *kafkatest.Cluster
	net     *network
	app     *App
	table   topology.Table[string, int64]
	heard   *heard
}

// inOutageWorld calls f with an application that has counted a record.
func inOutageWorld(t *testing.T, f func(*outageWorld)) {
	dir := t.TempDir()
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		w := &outageWorld{T: t, cluster: cluster, heard: &heard{}, net: &network{dial: cluster.Net.DialContext, lines: map[string]*line{}}}
		b := topology.New()
		w.table = topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key").Count("counts")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		w.app, err = New(topo, Config{
			ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: dir, Workers: 1, CloseTimeout: 5 * time.Second,
			Hooks: []Hook{w.heard}, Logger: logInto(w.heard), ClientOptions: []kgo.Opt{kgo.Dialer(w.net.DialContext)},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.app.Run(ctx) }()
		if err := cluster.Client().ProduceSync(ctx, &kgo.Record{Topic: "in", Key: []byte("k")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Second)
		if ok, reason := w.app.Ready(); !ok {
			t.Errorf("not ready: %s", reason)
		}
		f(w)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		for _, l := range w.net.lines {
			l.thaw()
		}
	}, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.SeedTopics(1, "in"))
}

// coordinator is the host of the group's coordinator.
func (w *outageWorld) coordinator() string {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{"app"}
	resp, err := req.RequestWith(w.Context(), w.cluster.Client())
	if err != nil {
		w.Fatal(err)
	}
	c := resp.Coordinators[0]
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}

func (w *outageWorld) hosts() (others []string, coordinator string) {
	coordinator = w.coordinator()
	for _, host := range w.cluster.ListenAddrs() {
		if _, port, _ := net.SplitHostPort(host); !strings.HasSuffix(coordinator, ":"+port) {
			others = append(others, host)
		}
	}
	return others, coordinator
}

// Within seconds, state, hook, snapshot, log and probes show an outage. They also show
// its end.
func TestOutageShows(t *testing.T) {
	t.Parallel()
	const soon = 6 * time.Second
	for name, tc := range map[string]struct {
		begin, end func(w *outageWorld)
		log        string
		cluster    bool
		group      bool
		brokers    int
	}{
		"brokers killed": {
			func(w *outageWorld) { w.all((*line).sever) }, func(w *outageWorld) { w.all((*line).mend) },
			"the cluster is out of reach", true, true, 3,
		},
		"packets dropped": {
			func(w *outageWorld) { w.all((*line).freeze) }, func(w *outageWorld) { w.all((*line).thaw) },
			"the cluster is out of reach", true, true, 3,
		},
		"the coordinator only": {
			func(w *outageWorld) { _, c := w.hosts(); w.net.line(c).freeze() }, func(w *outageWorld) { w.all((*line).thaw) },
			"the group is out of reach", false, true, 1,
		},
		"no coordinator": {
			func(w *outageWorld) {
				w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: 18})
			},
			func(w *outageWorld) { <-time.After(10 * time.Second) },
			"the group is out of reach", false, true, 0,
		},
		"one broker of several": {
			func(w *outageWorld) { others, _ := w.hosts(); w.net.line(others[0]).freeze() }, func(w *outageWorld) { w.all((*line).thaw) },
			"a broker is out of reach", false, false, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inOutageWorld(t, func(w *outageWorld) {
				began := time.Now()
				tc.begin(w)
				<-time.After(soon)
				told, logged := w.heard.last(tc.log)
				shown := w.app.Snapshot().Reach
				for what, r := range map[string]Reachability{"hook": told, "snapshot": shown} {
					if r.Cluster.Out() != tc.cluster || r.Group.Out() != tc.group || len(r.Brokers) != tc.brokers {
						w.Errorf("%s: %+v", what, r)
					}
					for _, o := range []Outage{r.Cluster, r.Group} {
						if since := o.Since.Sub(began); o.Out() && (since < -2*time.Second || since > 0 || o.Reason == "") {
							w.Errorf("%s: since %v of its begin, reason %q", what, since, o.Reason)
						}
					}
				}
				if !logged {
					w.Errorf("the log does not say %q", tc.log)
				}
				w.checkProbes(tc.group)
				w.checkAges(began, tc.group)
				tc.end(w)
				<-time.After(soon)
				if r := w.app.Snapshot().Reach; r.Cluster.Out() || r.Group.Out() || len(r.Brokers) > 0 {
					w.Errorf("the end does not show: %+v", r)
				}
				<-time.After(30 * time.Second)
				if ok, reason := w.app.Ready(); !ok || w.app.State() != Running {
					w.Errorf("state %v, not ready: %s", w.app.State(), reason)
				}
				if _, logged := w.heard.last("is within reach again"); !logged {
					w.Error("the log does not say that the outage is over")
				}
			})
		})
	}
}

func (w *outageWorld) all(f func(*line)) {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	for _, l := range w.net.lines {
		f(l)
	}
}

func (w *outageWorld) checkProbes(out bool) {
	if ok, reason := w.app.Live(); !ok {
		w.Errorf("not live: %s", reason)
	}
	ok, reason := w.app.Ready()
	if ok == out || out && !strings.Contains(reason, "out of reach since") || (w.app.State() == Unreachable) != out {
		w.Errorf("state %v, ready %v: %s", w.app.State(), ok, reason)
	}
}

func (w *outageWorld) checkAges(began time.Time, out bool) {
	ages, err := Ages(w.app, w.table)
	if err != nil || len(ages) != 1 && !out {
		w.Errorf("ages %v: %v", ages, err)
		return
	}
	// The client lost its membership with its connection, so queries return ErrNotHere.
	if len(ages) == 0 {
		return
	}
	if a := ages[0]; a.Commit.IsZero() || a.Commit.After(began) || a.Contact.After(began) == out {
		w.Errorf("age %+v, the outage began %v", a, began)
	}
}

// An application that has never reached a broker reports this.
func TestOutageFromTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		brokers := cluster.ListenAddrs()
		cluster.Close()
		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String).To("out")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		app, err := New(topo, Config{ApplicationID: "app", Brokers: brokers, StateDir: dir, ClientOptions: cluster.Dial(), Logger: logInto(&heard{})})
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := app.Live(); !ok {
			t.Error("not live before Run")
		}
		ctx, stop := context.WithTimeout(context.Background(), 7*time.Second)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- app.Run(ctx) }()
		<-time.After(6 * time.Second)
		if app.State() != Unreachable || !app.Snapshot().Reach.Cluster.Out() {
			t.Errorf("state %v, %+v", app.State(), app.Snapshot().Reach)
		}
		if ok, reason := app.Ready(); ok || !strings.Contains(reason, "the cluster is out of reach since") {
			t.Errorf("ready: %v, %s", ok, reason)
		}
		if ok, reason := app.Live(); !ok {
			t.Errorf("not live: %s", reason)
		}
		if err := <-ended; !errors.Is(err, ErrNoBroker) || !strings.Contains(err.Error(), "application app: no broker has answered since the start") {
			t.Errorf("Run: %v", err)
		}
		if app.State() != Failed {
			t.Errorf("state %v after Run", app.State())
		}
	})
}

// Two cases are not an error: the context ends before Run could know, and the outage
// began after a broker was reached.
func TestNoBrokerNeedsTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		l := newLine(cluster.Net.DialContext)
		for name, tc := range map[string]struct{ reached, after time.Duration }{
			"ended early": {0, time.Second}, "reached once": {2 * time.Second, 20 * time.Second},
		} {
			b := topology.New()
			topology.Source(b, "missing", serde.String, serde.String).To("out")
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			app, err := New(topo, Config{
				ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: dir, WaitForTopics: true, Logger: logInto(&heard{}),
				ClientOptions: []kgo.Opt{kgo.Dialer(l.DialContext)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if tc.reached == 0 {
				l.sever()
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- app.Run(ctx) }()
			<-time.After(tc.reached)
			l.sever()
			<-time.After(tc.after)
			stop()
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			l.mend()
		}
	}, kfake.SeedTopics(1, "out"))
}
