package topology

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine/enginetest"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// fakeTask runs one task with all sub-topologies of a topology, on topics of one partition unless told otherwise. What sinks send to
// repartition topics is received at once.
type fakeTask struct {
	tb     testing.TB
	g      *graph.Graph
	stores *enginetest.Task

	policy      processor.Action
	everyUpdate bool
	partitions  int32

	byName    map[string]processor.Store
	sources   map[string]graph.SourceNode
	current   *graph.Input
	offsets   map[string]int64
	stream    processor.Timestamp
	times     map[string]*processor.Timestamp
	positions map[string]*graph.Position
	flushes   []hook
	closes    []hook
	scheduled []func(time.Time) error
	committed []func()

	sent      []graph.Output
	drops     []string // "node: reason"
	failures  []string // "node: phase: error"
	failure   error
	discard   bool // of sent records
	held      int64
	requested bool
}

type hook struct {
	node *graph.Node
	f    func() error
}

type fakeOption func(*fakeTask)

func withPolicy(a processor.Action) fakeOption { return func(f *fakeTask) { f.policy = a } }
func withEveryUpdate() fakeOption              { return func(f *fakeTask) { f.everyUpdate = true } }
func withPartitions(n int32) fakeOption        { return func(f *fakeTask) { f.partitions = n } }

// run builds the topology and starts the task.
func run(tb testing.TB, b *Builder, opts ...fakeOption) *fakeTask {
	tb.Helper()
	topo, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	f := &fakeTask{
		tb: tb, g: topo.g, partitions: 1, stream: -1,
		byName: map[string]processor.Store{}, sources: map[string]graph.SourceNode{}, offsets: map[string]int64{},
		times: map[string]*processor.Timestamp{}, positions: map[string]*graph.Position{},
	}
	for _, o := range opts {
		o(f)
	}
	if err := f.start(); err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f *fakeTask) start() error {
	if len(f.g.Stores) > 0 {
		f.stores = enginetest.New(f.tb, 0)
		f.stores.EveryUpdate = f.everyUpdate
	}
	for _, s := range f.g.Stores {
		f.byName[s.Name] = f.stores.Open(s.Spec).(processor.Store)
	}
	instances := make(map[*graph.Node]any)
	for _, n := range slices.Backward(f.g.Nodes) {
		var children []any
		for _, c := range n.Children {
			children = append(children, instances[c])
		}
		i, err := n.New(f, n, children)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		instances[n] = i
		for _, topic := range n.Topics {
			f.sources[topic.In("app")] = i.(graph.SourceNode)
		}
	}
	slices.SortStableFunc(f.flushes, func(a, b hook) int { return a.node.ID - b.node.ID })
	return nil
}

// input processes one record of a source topic.
func (f *fakeTask) input(in graph.Input) error {
	in.Offset = f.offsets[in.Topic]
	f.offsets[in.Topic]++
	source := f.sources[in.Topic]
	f.current = &in
	ts, ok, err := source.Timestamp(&in, f.stream)
	if err != nil {
		_, failure := f.Fail(&graph.Node{Name: in.Topic}, processor.Decode, err, nil)
		return failure
	}
	if !ok {
		return nil
	}
	in.Timestamp = ts
	f.stream = max(f.stream, ts)
	if f.stores != nil {
		f.stores.SetNow(int64(ts))
	}
	return source.Receive(&in)
}

// send processes records of a topic, each "key:value@timestamp"; "-" is an absent key or value.
func (f *fakeTask) send(topic string, records ...string) {
	f.tb.Helper()
	for _, text := range records {
		in := parse(text)
		in.Topic = topic
		if err := f.input(in); err != nil && f.failure == nil {
			f.failure = err
		}
		f.deliver()
	}
}

// deliver brings what was sent to repartition topics to their readers.
func (f *fakeTask) deliver() {
	f.tb.Helper()
	for i := 0; i < len(f.sent); i++ {
		out := f.sent[i]
		if _, ok := f.sources[out.Topic]; !ok {
			continue
		}
		f.sent = slices.Delete(f.sent, i, i+1)
		i--
		in := graph.Input{Topic: out.Topic, Timestamp: out.Timestamp, Key: out.Key, Value: out.Value, Headers: out.Headers}
		if err := f.input(in); err != nil {
			f.tb.Fatal(err)
		}
	}
}

// commit flushes nodes and stores.
func (f *fakeTask) commit() {
	f.tb.Helper()
	f.current = nil
	for _, h := range f.flushes {
		if err := h.f(); err != nil && f.failure == nil {
			_, f.failure = f.Fail(h.node, processor.Process, err, nil)
		}
		f.deliver()
	}
	if f.stores != nil {
		f.stores.Commit()
	}
	for _, c := range f.committed {
		c()
	}
	f.committed = nil
}

func parse(text string) graph.Input {
	record, at, _ := strings.Cut(text, "@")
	key, value, _ := strings.Cut(record, ":")
	in := graph.Input{}
	fmt.Sscan(at, (*int64)(&in.Timestamp))
	if key != "-" {
		in.Key = []byte(key)
	}
	if value != "-" {
		in.Value = []byte(value)
	}
	return in
}

// out returns what was sent since the last call, as "topic key:value@timestamp", and forgets it.
func (f *fakeTask) out() []string {
	var texts []string
	for _, o := range f.sent {
		texts = append(texts, fmt.Sprintf("%s %s:%s@%d", o.Topic, bytesText(o.Key), bytesText(o.Value), o.Timestamp))
	}
	f.sent = nil
	return texts
}

func bytesText(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

// expect compares what was sent since the last call.
func (f *fakeTask) expect(want ...string) {
	f.tb.Helper()
	if got := f.out(); !slices.Equal(got, want) {
		f.tb.Errorf("sent\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (f *fakeTask) expectDrops(want ...string) {
	f.tb.Helper()
	if !slices.Equal(f.drops, want) {
		f.tb.Errorf("dropped %q, want %q", f.drops, want)
	}
	f.drops = nil
}

func (f *fakeTask) Context() context.Context        { return context.Background() }
func (f *fakeTask) ID() processor.Task              { return processor.Task{Partitions: f.partitions} }
func (f *fakeTask) ApplicationID() string           { return "app" }
func (f *fakeTask) EveryUpdate() bool               { return f.everyUpdate }
func (f *fakeTask) Logger() *slog.Logger            { return slog.New(slog.DiscardHandler) }
func (f *fakeTask) StreamTime() processor.Timestamp { return f.stream }
func (f *fakeTask) Now() time.Time                  { return time.UnixMilli(1000) }
func (f *fakeTask) RequestCommit()                  { f.requested = true }
func (f *fakeTask) Hold(bytes int64)                { f.held += bytes }
func (f *fakeTask) OnCommitted(c func())            { f.committed = append(f.committed, c) }

func (f *fakeTask) SetWriteTime(processor.Timestamp) (before processor.Timestamp) { return -1 }

func (f *fakeTask) Metadata() processor.Metadata {
	if f.current == nil {
		return processor.Metadata{Partition: -1, Offset: -1}
	}
	return processor.Metadata{Topic: f.current.Topic, Partition: f.current.Partition, Offset: f.current.Offset}
}

func (f *fakeTask) Input() *graph.Input { return nil }

func (f *fakeTask) Send(out graph.Output) error {
	if !f.discard {
		f.sent = append(f.sent, out)
	}
	return nil
}

func (f *fakeTask) Partitions(topic string) (int32, error) {
	if topic == "unknown" {
		return 0, fmt.Errorf("there is no such topic")
	}
	return f.partitions, nil
}

func (f *fakeTask) Fail(n *graph.Node, phase processor.Phase, err error, again func() error) (bool, error) {
	f.failures = append(f.failures, fmt.Sprintf("%s: %v: %v", n.Name, phase, err))
	switch f.policy {
	case processor.Retry:
		if again != nil && again() == nil {
			return true, nil
		}
		return false, nil
	case processor.Skip:
		return false, nil
	}
	if f.failure == nil {
		f.failure = err
	}
	return false, f.failure
}

func (f *fakeTask) Drop(n *graph.Node, reason string) { f.drops = append(f.drops, n.Name+": "+reason) }

func (f *fakeTask) Store(name string) (processor.Store, error) {
	s, ok := f.byName[name]
	if !ok {
		return nil, fmt.Errorf("no store %s", name)
	}
	return s, nil
}

func (f *fakeTask) Schedule(_ *graph.Node, _ processor.TimeKind, _ time.Time, _ time.Duration, p func(time.Time) error) processor.Schedule {
	f.scheduled = append(f.scheduled, p)
	return noSchedule{}
}

func (f *fakeTask) OnFlush(n *graph.Node, h func() error) { f.flushes = append(f.flushes, hook{n, h}) }
func (f *fakeTask) OnClose(n *graph.Node, h func() error) { f.closes = append(f.closes, hook{n, h}) }

func (f *fakeTask) Time(name string) *processor.Timestamp {
	if f.times[name] == nil {
		at := processor.Timestamp(-1)
		f.times[name] = &at
	}
	return f.times[name]
}

func (f *fakeTask) Position(name string) *graph.Position {
	if f.positions[name] == nil {
		f.positions[name] = &graph.Position{}
	}
	return f.positions[name]
}

// text is a serde that shows what it writes.
type text[T any] struct{}

func (text[T]) Append(dst []byte, v T) ([]byte, error) { return fmt.Append(dst, v), nil }
func (text[T]) Decode(data []byte) (v T, err error) {
	_, err = fmt.Sscan(string(data), &v)
	return v, err
}

var _ serde.Serde[int] = text[int]{}
