// Package graphtest runs a graph without a task, for tests of its nodes. All
// sub-topologies run as one. There is no queue and no producer: a test feeds records to
// the sources, says when to commit, and looks at what was sent. Stores are real, on a
// database in memory.
package graphtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
)

// Task runs all sub-topologies of a graph, on topics of one partition unless told
// otherwise. What sinks send to repartition topics is received at once.
type Task struct {
	Graph  *graph.Graph
	Stores *storetest.Task

	// What a test may set.
	Current        *graph.Input // the record that is being processed
	PartitionCount int32
	Discard        bool // forget what is sent

	Sources   map[string]graph.SourceNode // by the full name of the topic
	Positions map[string]*graph.Position
	Scheduled []func(time.Time) error // punctuators

	// What has happened.
	Sent      []graph.Output
	Drops     []string // "node: reason"
	Failures  []string // "node: phase: error"
	Failure   error
	Held      int64
	Requested bool // a commit

	tb          testing.TB
	policy      processor.Action
	combines    bool
	everyUpdate bool
	byName      map[string]processor.Store
	offsets     map[string]int64
	stream      processor.Timestamp
	times       map[string]*processor.Timestamp
	flushes     []hook
	idles       []func(graph.Idle) (bool, error)
	closes      []hook
	committed   []func()
}

// schedule is that of a punctuator that the test calls by itself.
type schedule struct{}

func (schedule) Cancel() {}

type hook struct {
	node *graph.Node
	f    func() error
}

// Option is an option of a task.
type Option func(*Task)

// WithPolicy says what is done about an error of a user function. Default: the task
// fails.
func WithPolicy(a processor.Action) Option { return func(f *Task) { f.policy = a } }

// WithCombining lets tasks combine records before they send them.
func WithCombining() Option { return func(f *Task) { f.combines = true } }

// WithEveryUpdate lets tables send each update at once.
func WithEveryUpdate() Option { return func(f *Task) { f.everyUpdate = true } }

// WithPartitions says how many partitions each topic has. Default: one.
func WithPartitions(n int32) Option { return func(f *Task) { f.PartitionCount = n } }

// Start makes the nodes of a graph, and the stores that they use.
func Start(tb testing.TB, g *graph.Graph, opts ...Option) *Task {
	tb.Helper()
	f, err := New(tb, g, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// New is Start for a test that expects an error of a node.
func New(tb testing.TB, g *graph.Graph, opts ...Option) (*Task, error) {
	f := &Task{
		tb: tb, Graph: g, PartitionCount: 1, stream: -1,
		byName: map[string]processor.Store{}, Sources: map[string]graph.SourceNode{}, offsets: map[string]int64{},
		times: map[string]*processor.Timestamp{}, Positions: map[string]*graph.Position{},
	}
	for _, o := range opts {
		o(f)
	}
	return f, f.start()
}

// Restart commits, and makes nodes and stores again on the database, which is opened
// anew. No row is in memory afterwards. Times and positions stay.
func (f *Task) Restart() {
	f.tb.Helper()
	f.Commit()
	if err := f.Close(); err != nil {
		f.tb.Fatal(err)
	}
	f.Stores.Restart()
	f.flushes, f.idles, f.closes = nil, nil, nil
	if err := f.start(); err != nil {
		f.tb.Fatal(err)
	}
}

func (f *Task) start() error {
	if f.Stores == nil && len(f.Graph.Stores) > 0 {
		f.Stores = storetest.New(f.tb, 0)
		f.Stores.EveryUpdate = f.everyUpdate
	}
	for _, s := range f.Graph.Stores {
		f.byName[s.Name] = f.Stores.Open(s.Spec).(processor.Store)
	}
	instances := make(map[*graph.Node]any)
	for _, n := range slices.Backward(f.Graph.Nodes) {
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
			f.Sources[topic.In("app")] = i.(graph.SourceNode)
		}
	}
	slices.SortStableFunc(f.flushes, func(a, b hook) int { return a.node.ID - b.node.ID })
	return nil
}

// Process processes one record of a source topic.
func (f *Task) Process(in graph.Input) error {
	in.Offset = f.offsets[in.Topic]
	f.offsets[in.Topic]++
	source := f.Sources[in.Topic]
	f.Current = &in
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
	if f.Stores != nil {
		f.Stores.SetNow(int64(ts))
	}
	return source.Receive(&in)
}

// Feed processes records of a topic. Each is "key:value@timestamp". "-" is an absent key
// or value.
func (f *Task) Feed(topic string, records ...string) {
	f.tb.Helper()
	for _, text := range records {
		in := Parse(text)
		in.Topic = topic
		if err := f.Process(in); err != nil && f.Failure == nil {
			f.Failure = err
		}
		f.deliver()
	}
}

// deliver feeds what was sent to repartition topics to their readers.
func (f *Task) deliver() {
	f.tb.Helper()
	for i := 0; i < len(f.Sent); i++ {
		out := f.Sent[i]
		if _, ok := f.Sources[out.Topic]; !ok {
			continue
		}
		f.Sent = slices.Delete(f.Sent, i, i+1)
		i--
		in := graph.Input{Topic: out.Topic, Timestamp: out.Timestamp, Key: out.Key, Value: out.Value, Headers: out.Headers}
		if err := f.Process(in); err != nil {
			f.tb.Fatal(err)
		}
	}
}

// Commit flushes nodes and stores.
func (f *Task) Commit() {
	f.tb.Helper()
	f.Current = nil
	for _, h := range f.flushes {
		if err := h.f(); err != nil && f.Failure == nil {
			_, f.Failure = f.Fail(h.node, processor.Process, err, nil)
		}
		f.deliver()
	}
	if f.Stores != nil {
		f.Stores.Commit()
	}
	for _, c := range f.committed {
		c()
	}
	f.committed = nil
}

// Parse returns a record in the form of Feed.
func Parse(text string) graph.Input {
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

// Close calls what nodes have registered for the end of the task.
func (f *Task) Close() error {
	var errs []error
	for _, h := range f.closes {
		errs = append(errs, h.f())
	}
	return errors.Join(errs...)
}

// Out returns what was sent since the last call, as "topic key:value@timestamp".
func (f *Task) Out() []string {
	var texts []string
	for _, o := range f.Sent {
		texts = append(texts, fmt.Sprintf("%s %s:%s@%d", o.Topic, bytesText(o.Key), bytesText(o.Value), o.Timestamp))
	}
	f.Sent = nil
	return texts
}

func bytesText(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

// Expect compares what was sent since the last call.
func (f *Task) Expect(want ...string) {
	f.tb.Helper()
	if got := f.Out(); !slices.Equal(got, want) {
		f.tb.Errorf("sent\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// ExpectDrops compares what was dropped since the last call.
func (f *Task) ExpectDrops(want ...string) {
	f.tb.Helper()
	if !slices.Equal(f.Drops, want) {
		f.tb.Errorf("dropped %q, want %q", f.Drops, want)
	}
	f.Drops = nil
}

// The methods of graph.Task.

func (f *Task) Context() context.Context        { return context.Background() }
func (f *Task) ID() processor.Task              { return processor.Task{Partitions: f.PartitionCount} }
func (f *Task) ApplicationID() string           { return "app" }
func (f *Task) EveryUpdate() bool               { return f.everyUpdate }
func (f *Task) Combines(string) bool            { return f.combines }
func (f *Task) Logger() *slog.Logger            { return slog.New(slog.DiscardHandler) }
func (f *Task) StreamTime() processor.Timestamp { return f.stream }
func (f *Task) Now() time.Time                  { return time.UnixMilli(1000) }
func (f *Task) RequestCommit()                  { f.Requested = true }
func (f *Task) Hold(bytes int64)                { f.Held += bytes }
func (f *Task) OnCommitted(c func())            { f.committed = append(f.committed, c) }

func (f *Task) SetWriteTime(processor.Timestamp) (before processor.Timestamp) { return -1 }

func (f *Task) Metadata() processor.Metadata {
	if f.Current == nil {
		return processor.Metadata{Partition: -1, Offset: -1}
	}
	return processor.Metadata{Topic: f.Current.Topic, Partition: f.Current.Partition, Offset: f.Current.Offset}
}

func (f *Task) Input() *graph.Input { return nil }

func (f *Task) Send(out graph.Output) error {
	if !f.Discard {
		f.Sent = append(f.Sent, out)
	}
	return nil
}

func (f *Task) Partitions(topic string) (int32, error) {
	if topic == "unknown" {
		return 0, fmt.Errorf("there is no such topic")
	}
	return f.PartitionCount, nil
}

func (f *Task) Fail(n *graph.Node, phase processor.Phase, err error, again func() error) (bool, error) {
	f.Failures = append(f.Failures, fmt.Sprintf("%s: %v: %v", n.Name, phase, err))
	switch f.policy {
	case processor.Retry:
		if again != nil && again() == nil {
			return true, nil
		}
		return false, nil
	case processor.Skip:
		return false, nil
	}
	if f.Failure == nil {
		f.Failure = err
	}
	return false, f.Failure
}

// Foreign watches nothing.
func (f *Task) Foreign() func() bool { return nil }

// Misused ends the task with an error.
func (f *Task) Misused(_ *graph.Node, err error) { f.Failure = err }

func (f *Task) Drop(n *graph.Node, reason string) { f.Drops = append(f.Drops, n.Name+": "+reason) }

// BufferFull implements graph.Task.
func (f *Task) BufferFull(*graph.Node, int64) {}

func (f *Task) Store(name string) (processor.Store, error) {
	s, ok := f.byName[name]
	if !ok {
		return nil, fmt.Errorf("no store %s", name)
	}
	return s, nil
}

func (f *Task) Schedule(_ *graph.Node, _ processor.TimeKind, _ time.Time, _ time.Duration, p func(time.Time) error) processor.Schedule {
	f.Scheduled = append(f.Scheduled, p)
	return schedule{}
}

func (f *Task) OnIdle(_ *graph.Node, g func(graph.Idle) (bool, error)) {
	f.idles = append(f.idles, g)
}

// Idle tells the nodes that their inputs were idle.
func (f *Task) Idle(since, until time.Time) (worked bool) {
	f.tb.Helper()
	f.Current = nil
	for _, g := range f.idles {
		did, err := g(graph.Idle{Since: since, Until: until})
		if err != nil {
			f.tb.Fatal(err)
		}
		worked = worked || did
	}
	return worked
}

func (f *Task) OnFlush(n *graph.Node, h func() error) { f.flushes = append(f.flushes, hook{n, h}) }
func (f *Task) OnClose(n *graph.Node, h func() error) { f.closes = append(f.closes, hook{n, h}) }

func (f *Task) Time(name string) *processor.Timestamp {
	if f.times[name] == nil {
		at := processor.Timestamp(-1)
		f.times[name] = &at
	}
	return f.times[name]
}

func (f *Task) Position(name string) *graph.Position {
	if f.Positions[name] == nil {
		f.Positions[name] = &graph.Position{}
	}
	return f.Positions[name]
}
