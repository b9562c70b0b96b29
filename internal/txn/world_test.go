package txn

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// world is a cluster on a virtual network inside a synctest bubble, so that timeouts take
// no time.
type world struct {
	*testing.T
	cluster *kafkatest.Cluster
	admin   *kgo.Client
}

const (
	group  = "app"
	input  = "in"
	output = "out"
	store  = "app-counts-changelog"
)

// inWorld runs f against a cluster with the topics in and out and a changelog, with three
// partitions each.
func inWorld(t *testing.T, f func(*world), opts ...kfake.Opt) {
	t.Helper()
	t.Parallel()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) {
		f(&world{T: t, cluster: c, admin: c.Client()})
	}, append([]kfake.Opt{kfake.SeedTopics(3, input, output, store), kafkatest.Names()}, opts...)...)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// producer makes and initialises a producer. change may alter its configuration.
func (w *world) producer(id string, change ...func(*Config)) *Producer {
	w.Helper()
	cfg := Config{Opts: w.cluster.Options(), TransactionalID: id, Group: group}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(context.Background(), cfg)
	w.must(err)
	w.Cleanup(p.Close)
	w.must(p.Init(context.Background()))
	p.Track(store)
	return p
}

func (w *world) join(member string) Identity {
	w.Helper()
	return join(w.T, w.admin, group, member)
}

// refuseValue makes the broker refuse records with that value, in the output and in the
// changelog.
func (w *world) refuseValue(value string, code *kerr.Error) {
	w.Helper()
	for _, topic := range []string{output, store} {
		w.cluster.Refuse(topic, 3, code, func(r kafkatest.Record) bool { return string(r.Value) == value })
	}
}

// join makes a member of the group, or makes a member join again, which begins a new
// generation.
func join(t testing.TB, cl *kgo.Client, group, member string) Identity {
	t.Helper()
	ctx := context.Background()
	check := func(err error, code int16) {
		t.Helper()
		if err == nil {
			err = kerr.ErrorForCode(code)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 300_000, 300_000
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name = "test"
		// a change, so that joining again rebalances
		protocol.Metadata = []byte(rand.Text())
		req.Protocols = append(req.Protocols, protocol)
		resp, err := req.RequestWith(ctx, cl)
		if err == nil && resp.ErrorCode == kerr.MemberIDRequired.Code {
			member = resp.MemberID
			continue
		}
		check(err, resp.ErrorCode)
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = group, resp.MemberID, resp.Generation
		synced, err := sync.RequestWith(ctx, cl)
		check(err, synced.ErrorCode)
		return Identity{MemberID: resp.MemberID, Generation: resp.Generation}
	}
}

// produce sends the values to the output and counts them in the changelog, both in
// partition 0.
func produce(p *Producer, values ...string) {
	for _, v := range values {
		p.Produce(&kgo.Record{Topic: output, Value: []byte(v)})
		p.Produce(&kgo.Record{Topic: store, Key: []byte(v), Value: []byte(v)})
	}
}

// at is a commit of partition 0 of the input.
func at(offset int64) []OffsetCommit {
	return []OffsetCommit{{Topic: input, Offset: offset, LeaderEpoch: -1, Metadata: "meta"}}
}

// visible returns the values that a read_committed consumer sees in the output, in order
// of their offsets.
func (w *world) visible() []string {
	w.Helper()
	var values []string
	partitions := make(map[int32]kgo.Offset)
	ends := make(map[int32]int64)
	for _, info := range w.cluster.PartitionInfos(output) {
		if info.LastStableOffset != info.HighWatermark {
			w.Errorf("partition %d of %q has an open transaction", info.Partition, output)
		}
		if info.HighWatermark > 0 {
			partitions[info.Partition] = kgo.NewOffset().At(0)
			ends[info.Partition] = info.HighWatermark
		}
	}
	cl := w.cluster.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{output: partitions}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	for len(ends) > 0 {
		cl.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return values
}

// committed returns the group's position in partition 0 of the input, or -1.
func (w *world) committed() int64 {
	w.Helper()
	fetched, err := kadm.NewClient(w.admin).FetchOffsets(context.Background(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1
	}
	w.must(err)
	o, ok := fetched.Lookup(input, 0)
	if !ok {
		return -1
	}
	return o.At
}

// expect compares the visible output and the committed position with the expected ones.
func (w *world) expect(committed int64, values ...string) {
	w.Helper()
	if got := w.visible(); !slices.Equal(got, values) {
		w.Errorf("output: got %q, want %q", got, values)
	}
	if got := w.committed(); got != committed {
		w.Errorf("committed offset: got %d, want %d", got, committed)
	}
}

func (w *world) outcome(err error, want Outcome) {
	w.Helper()
	if got := OutcomeOf(err); got != want {
		w.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

// requests records requests by key.
func (w *world) requests(key kmsg.Key) *recorder {
	r := &recorder{}
	w.cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		r.mu.Lock()
		r.seen = append(r.seen, req)
		r.mu.Unlock()
		return nil, nil, false
	})
	return r
}

type recorder struct {
	mu   sync.Mutex
	seen []kmsg.Request
}

func (r *recorder) all() []kmsg.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// line is a connection that can be cut around one kind of request: before the broker has
// it, or before its answer arrives. Once cut, it transmits nothing until it is mended.
type line struct {
	dial   func(ctx context.Context, network, host string) (net.Conn, error)
	mu     sync.Mutex
	key    kmsg.Key
	before bool
	armed  bool
	cut    bool
	conns  []net.Conn
}

var errCut = errors.New("the line is cut")

func (l *line) arm(key kmsg.Key, before bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.before, l.armed = key, before, true
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *line) DialContext(ctx context.Context, network, host string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errCut
	}
	conn, err := l.dial(ctx, network, host)
	if err != nil {
		return nil, err
	}
	l.conns = append(l.conns, conn)
	return &lineConn{conn, l}, nil
}

type lineConn struct {
	net.Conn
	line *line
}

func (c *lineConn) Write(b []byte) (int, error) {
	l := c.line
	l.mu.Lock()
	hit := l.armed && len(b) >= 6 && kmsg.Key(binary.BigEndian.Uint16(b[4:])) == l.key
	if hit {
		l.armed, l.cut = false, true
	}
	cut, before, conns := l.cut, l.before, slices.Clone(l.conns)
	l.mu.Unlock()
	if !hit {
		if cut {
			return 0, errCut
		}
		return c.Conn.Write(b)
	}
	if !before {
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	return 0, errCut
}
