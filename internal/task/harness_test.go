package task

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// rec is the record that the nodes of these tests pass on. Key and value stay unchanged.
type rec = graph.Record[string, string]

// fakeSource decodes strings. The value "bad" cannot be decoded. A record with a negative
// timestamp is dropped or is an error, depending on the options.
type fakeSource struct {
	t        graph.Task
	n        *graph.Node
	children []any
	failTime bool
	out      rec
}

func (s *fakeSource) Timestamp(in *graph.Input, partitionTime processor.Timestamp) (processor.Timestamp, bool, error) {
	if in.Timestamp >= 0 {
		return in.Timestamp, true, nil
	}
	if s.failTime {
		return 0, false, fmt.Errorf("timestamp %d is negative", in.Timestamp)
	}
	s.t.Drop(s.n, "timestamp")
	return 0, false, nil
}

func (s *fakeSource) Receive(in *graph.Input) error {
	if string(in.Value) == "bad" {
		return s.undecodable(in)
	}
	s.out = rec{}
	s.out.Key, s.out.Value, s.out.Timestamp = string(in.Key), string(in.Value), in.Timestamp
	return deliver(s.children, &s.out)
}

func (s *fakeSource) undecodable(in *graph.Input) error {
	_, failure := s.t.Fail(s.n, processor.Decode, errors.New("not a string"), nil)
	return failure
}

func deliver(children []any, r *rec) error {
	for _, child := range children {
		if err := child.(graph.Receiver[string, string]).Receive(r); err != nil {
			return err
		}
	}
	return nil
}

// fakeProcessor calls a function. Its errors go to the policy.
type fakeProcessor struct {
	t        graph.Task
	n        *graph.Node
	children []any
	process  func(p *fakeProcessor, r *rec) error
	noAgain  bool
}

func (p *fakeProcessor) Receive(r *rec) error {
	err := p.call(r)
	if err == nil {
		return nil
	}
	again := func() error { return p.call(r) }
	if p.noAgain {
		again = nil
	}
	_, failure := p.t.Fail(p.n, processor.Process, err, again)
	return failure
}

func (p *fakeProcessor) call(r *rec) (err error) {
	defer graph.Guard(&err)
	return p.process(p, r)
}

func (p *fakeProcessor) forward(key, value string, at processor.Timestamp) error {
	r := rec{}
	r.Key, r.Value, r.Timestamp = key, value, at
	return deliver(p.children, &r)
}

// fakeSink sends strings.
type fakeSink struct {
	t graph.Task
	n *graph.Node
}

func (s *fakeSink) Receive(r *rec) error {
	var key []byte
	if r.Key != "" {
		key = []byte(r.Key)
	}
	return s.t.Send(graph.Output{Topic: s.n.SinkTopic.Name, Partition: 0, Key: key, Value: []byte(r.Value), Timestamp: r.Timestamp, Node: s.n})
}

// builder makes graphs of one sub-topology.
type builder struct{ sub graph.SubTopology }

func (b *builder) add(n *graph.Node, parents ...*graph.Node) *graph.Node {
	n.ID = len(b.sub.Nodes)
	n.Parents = parents
	for _, p := range parents {
		p.Children = append(p.Children, n)
	}
	b.sub.Nodes = append(b.sub.Nodes, n)
	return n
}

func (b *builder) source(failTime bool, topics ...string) *graph.Node {
	n := &graph.Node{Name: "source-" + topics[0], Kind: graph.Source}
	for _, topic := range topics {
		n.Topics = append(n.Topics, graph.Topic{Name: topic})
		b.sub.Sources = append(b.sub.Sources, graph.Topic{Name: topic})
	}
	n.New = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		return &fakeSource{t: t, n: n, children: children, failTime: failTime}, nil
	}
	return b.add(n)
}

func (b *builder) process(name string, init func(p *fakeProcessor), process func(p *fakeProcessor, r *rec) error, parents ...*graph.Node) *graph.Node {
	n := &graph.Node{Name: name, Kind: graph.Processor}
	n.New = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		p := &fakeProcessor{t: t, n: n, children: children, process: process}
		if init != nil {
			init(p)
		}
		return p, nil
	}
	return b.add(n, parents...)
}

func (b *builder) sink(topic string, parents ...*graph.Node) *graph.Node {
	n := &graph.Node{Name: "sink-" + topic, Kind: graph.Sink, SinkTopic: graph.Topic{Name: topic}}
	n.New = func(t graph.Task, n *graph.Node, _ []any) (any, error) { return &fakeSink{t, n}, nil }
	return b.add(n, parents...)
}

func (b *builder) graph() *graph.Graph {
	return &graph.Graph{Nodes: b.sub.Nodes, Stores: b.sub.Stores, SubTopologies: []*graph.SubTopology{&b.sub}}
}

// shell is the smallest possible shell. It keeps the outputs of the open transaction, and
// the committed ones.
type shell struct {
	tb        testing.TB
	cfg       Config
	task      *Task
	open      []string
	committed []string
	offsets   map[Partition]Committed
	raw       []graph.Output
	from      []processor.Metadata
	limit     map[string]int     // max.message.bytes
	limits    map[string]*Limits // replaces limit
	refuse    func(out graph.Output) error
	drops     []string
	actions   []string
}

func newShell(tb testing.TB, g *graph.Graph, topics ...string) *shell {
	s := &shell{tb: tb, offsets: map[Partition]Committed{}, limit: map[string]int{}}
	for _, topic := range topics {
		s.offsets[Partition{topic, 0}] = Committed{Topic: topic, Offset: 0}
	}
	s.cfg = Config{
		ApplicationID: "app", Graph: g, ID: processor.Task{Partitions: 1}, Out: s, Observer: s,
		Memory: NewMemory(), Now: time.UnixMilli(0),
	}
	return s
}

func (s *shell) Send(out graph.Output, from processor.Metadata) error {
	if s.refuse != nil {
		if err := s.refuse(out); err != nil {
			return err
		}
	}
	s.raw, s.from = append(s.raw, out), append(s.from, from)
	s.open = append(s.open, fmt.Sprintf("%s %s=%s@%d", out.Topic, out.Key, out.Value, out.Timestamp))
	return nil
}

func (s *shell) Partitions(string) (int32, error) { return 1, nil }
func (s *shell) Limits(topic string, _ bool) *Limits {
	if l := s.limits[topic]; l != nil {
		return l
	}
	return &Limits{MaxBytes: s.limit[topic], Setting: "max.message.bytes", Uncompressed: true}
}
func (s *shell) Cautious(string) bool       { return false }
func (s *shell) Oversized(graph.Output) int { panic("the limits count before compression") }
func (s *shell) Dropped(node, reason string, _ processor.Metadata) {
	s.drops = append(s.drops, node+": "+reason)
}
func (s *shell) BufferFull(string, int64) {}

func (s *shell) Converted(string, uint8, int64, bool) {}
func (s *shell) Errored(e *processor.Error, a processor.Action) {
	s.actions = append(s.actions, a.String())
}

// start makes the task from the committed state.
func (s *shell) start() {
	s.tb.Helper()
	s.open = nil
	s.cfg.Inputs = nil
	for _, c := range s.offsets {
		s.cfg.Inputs = append(s.cfg.Inputs, c)
	}
	t, err := New(s.cfg)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.task = t
}

func (s *shell) abort() {
	s.tb.Helper()
	if err := s.task.Close(); err != nil {
		s.tb.Fatal(err)
	}
	s.start()
}

func (s *shell) commit() {
	s.tb.Helper()
	c, err := s.task.Begin()
	if err != nil {
		s.tb.Fatal(err)
	}
	s.confirm(c)
}

func (s *shell) confirm(c Commit) {
	s.tb.Helper()
	for _, o := range c.Offsets {
		s.offsets[Partition{o.Topic, o.Partition}] = Committed{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, Metadata: o.Metadata}
	}
	s.committed, s.open = append(s.committed, s.open...), nil
	if err := s.task.Finish(nil); err != nil {
		s.tb.Fatal(err)
	}
}

// add adds values at offsets 0, 1, ...
func (s *shell) add(topic string, records ...graph.Input) {
	s.tb.Helper()
	for i := range records {
		records[i].Topic = topic
		records[i].Offset = int64(i)
	}
	if err := s.task.Add(topic, 0, records, int64(100*len(records))); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *shell) run() {
	s.tb.Helper()
	if _, err := s.task.Process(time.UnixMilli(0), 1000); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *shell) wantOpen(want ...string) {
	s.tb.Helper()
	if !slices.Equal(s.open, want) {
		s.tb.Fatalf("sent %q, want %q", s.open, want)
	}
}

func in(key, value string, at int64) graph.Input {
	return graph.Input{Key: []byte(key), Value: []byte(value), Timestamp: processor.Timestamp(at)}
}

// pass is the graph topic -> out.
func pass(topics ...string) *graph.Graph {
	b := &builder{}
	b.sink("out", b.source(false, topics...))
	return b.graph()
}
