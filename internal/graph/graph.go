// Package graph is the topology as plain data: nodes, stores, sub-topologies and internal
// topics. It also has the interface through which nodes see their running task. Package
// topology builds a Graph from typed handles; package task runs it.
package graph

import (
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/store"
)

// Kind is the kind of a node.
type Kind int

const (
	Source    Kind = iota // reads topics
	Processor             // everything between
	Sink                  // writes a topic
)

// Graph is a validated topology. It is immutable after Build, and shared by all tasks.
type Graph struct {
	Nodes         []*Node // in build order: parents before children
	Stores        []*Store
	SubTopologies []*SubTopology
	Repartitions  []*RepartitionTopic // in build order
	Globals       []*Global           // in build order
}

// Global is a global store: each process fills it from all partitions of a topic. It is
// not a part of a sub-topology. It has no changelog, because it can be filled from the
// topic again.
type Global struct {
	Store *Store
	Topic Topic
	Read  store.OpenReader

	// Graph reads the topic and writes the store. It has one sub-topology, with the store
	// and nothing else. It shares nothing with the graph that the Global belongs to.
	Graph *Graph
}

// Global returns the global store with the name, or nil.
func (g *Graph) Global(store string) *Global {
	i := slices.IndexFunc(g.Globals, func(global *Global) bool { return global.Store.Name == store })
	if i < 0 {
		return nil
	}
	return g.Globals[i]
}

// Node is one node of the graph.
type Node struct {
	ID       int // index in Graph.Nodes
	Name     string
	Kind     Kind
	Type     string // the operator: "filter", "count", ...; for Describe and errors
	Parents  []*Node
	Children []*Node
	Stores   []string // names of the stores it may use
	LooksUp  []string // those of Stores in which it only looks rows up
	Globals  []string // names of the global stores that it may read

	Topics []Topic // of a Source
	// Pattern, of a Source, stands for its topics. Topics are then those that a
	// Graph.Resolve has found.
	Pattern     *Pattern
	SinkTopic   Topic // of a Sink; zero if it is chosen per record
	SourceOpts  SourceOptions
	SubTopology int // index in Graph.SubTopologies

	// Keyed says that the node keeps rows by key, or looks rows up by key. Records with
	// equal keys must then meet in one task. All topics from which records reach the
	// node, or another keyed node that uses one of its stores, must have the same number
	// of partitions.
	Keyed bool

	// Table says that the node's instance sends the rows of a table.
	Table bool

	// Final says that the node sends a row of its windowed table once, when its window is
	// closed.
	Final bool

	// OneClock says that the inputs of a windowed cogroup share one stream time, because
	// rows behind it are sent once, when their window is closed. Otherwise each input has
	// its own.
	OneClock bool

	// IdleAfter, of a windowed aggregation, is how long its inputs must be idle before
	// stream time goes on without records. 0: it never does.
	IdleAfter time.Duration

	// Answers says that the node only looks up rows that other nodes have stored, and
	// sends answers to them. Without such rows it sends nothing.
	Answers bool

	// New makes the node's instance for one task. children are the instances of Children,
	// in order. The dynamic type of each is a Receiver of what this node forwards or, if
	// the node SendsOld, a ChangeReceiver. A Source's instance is a SourceNode.
	New func(t Task, n *Node, children []any) (any, error)
}

// SendsOld reports whether the node's instance sends a [Change] to a child that is a
// [ChangeReceiver]. It does if it has the rows of its table in a store, looks rows up in
// one, or has parents that send changes.
func (n *Node) SendsOld() bool {
	if !n.Table || len(n.Stores) > 0 {
		return n.Table
	}
	return len(n.Parents) > 0 && !slices.ContainsFunc(n.Parents, func(p *Node) bool { return !p.SendsOld() })
}

// Topic names a topic of the graph. In Kafka, the names of internal topics begin with the
// application ID: see [Topic.In].
type Topic struct {
	Name     string
	Internal bool // a repartition topic: <app>-<Name>
}

// In returns the topic's full name in the application.
func (t Topic) In(applicationID string) string {
	if t.Internal {
		return applicationID + "-" + t.Name
	}
	return t.Name
}

// StartAt says where a group without a committed offset starts to read.
type StartAt int

const (
	Earliest StartAt = iota
	Latest
)

// OutOfRange says what happens if a committed offset is no longer in the log.
type OutOfRange int

const (
	OutOfRangeFails OutOfRange = iota
	OutOfRangeEarliest
	OutOfRangeLatest
)

// SourceOptions are the options of a source that the runtime needs.
type SourceOptions struct {
	StartAt    StartAt
	OutOfRange OutOfRange
}

// Store is a store of the graph.
type Store struct {
	Name  string
	Spec  *store.Spec
	Nodes []*Node // the nodes that use the store

	// Format describes the rows: kind of store, windows, serdes. A store of the same name
	// with another Format would misread existing rows.
	Format string
	// Earlier has the Formats that the rows had before, by the number of the format of
	// their values: see store.Migrations. "" stands for one that no row has any more.
	Earlier []string

	// Rows has the same facts in parts.
	Rows Rows

	// ByKey says that a table keeps its rows here, each in the partition of its key. A
	// processor may put any key into the store of any task.
	ByKey bool

	// Waiting says that the store only has records and updates that wait to be sent on.
	// If it is lost, those are lost, and no result of a later record is wrong.
	Waiting bool

	// Own says that the store belongs to the runtime and not to the user's topology.
	Own bool

	// FromTopic says that the store has no changelog of its own, because the topic that
	// its table is read from serves as one. nil for other stores.
	FromTopic *FromTopic
}

// FromTopic is the topic of a table, from which the table's store is restored. The rows
// are those of the records below the committed offset of the store's task. Nothing else
// writes the store.
type FromTopic struct {
	Topic string

	// Row returns the row that a record makes: a nil value is a deletion. ok is false if
	// the table drops such a record. An error that is a [processor.Error] goes to the
	// error policy, as it does when the record is processed; it has the phase and the
	// node. Several goroutines may call Row at once.
	Row func(in *Input) (key, value []byte, ok bool, err error)
}

// SubTopology is a connected part of the graph. It has one task per partition of the
// topics that it reads.
//
// Sub-topologies are numbered in the order in which their first nodes were built, as in
// Kafka Streams. An operator that is appended to a program changes no number, and
// Describe returns the same text. An operator that is inserted earlier may change later
// numbers. Directories and topics, which outlive a process, are therefore named by Name.
type SubTopology struct {
	ID int

	// Name is the smallest name of the topics that it reads, without the topics of
	// messages between tasks. A pattern counts with the name of its source, and not with
	// the topics that it matches. No two sub-topologies read the same topic. Inserting an
	// operator never changes a name; only another set of sources can.
	Name string

	Nodes  []*Node // in build order
	Stores []*Store

	// Sources are all topics that it reads. Patterns are those of its sources.
	Sources  []Topic
	Patterns []*Pattern
	// CoPartitioned are the groups of topics that must have the same number of
	// partitions.
	CoPartitioned [][]Topic
}

// RepartitionTopic is an internal topic between two sub-topologies, or within one.
type RepartitionTopic struct {
	Topic      Topic
	Partitions int32 // 0: as many as the topics that feed it have
	From, To   int   // sub-topologies

	// Message says that the topic carries messages between tasks, and not the records of
	// a stream. It has as many partitions as the topics with which it is co-partitioned,
	// and does not count for the name of the sub-topology that reads it.
	Message bool

	// Key and Value name the formats of the records.
	Key, Value string
}

// The names of internal topics end in one of these, or in store.ChangelogSuffix.
const (
	RepartitionSuffix = "-repartition"
	MessageSuffix     = "-topic" // of messages between tasks, as in Kafka Streams
	// The topics of a foreign-key join.
	RegistrationSuffix = "-subscription-registration" + MessageSuffix
	ResponseSuffix     = "-subscription-response" + MessageSuffix
	registrySuffix     = "-stores-registry"
)

// RegistryTopic returns the name of the topic in which an application records what its
// stores mean. No other internal topic of any application can have this name, because
// their names have other endings.
func RegistryTopic(applicationID string) string { return applicationID + registrySuffix }
