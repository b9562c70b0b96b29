// Package graph is the topology as plain data: nodes, stores, sub-topologies and internal
// topics, and the interface by which the nodes of a running task see the task. Package
// topology builds a Graph from typed handles; package task runs it.
package graph

import (
	"slices"

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
}

// Node is one node of the graph.
type Node struct {
	ID       int // index in Graph.Nodes
	Name     string
	Kind     Kind
	Type     string // what the user called: "filter", "count", ...; for Describe and errors
	Parents  []*Node
	Children []*Node
	Stores   []string // names of the stores it may use

	Topics      []Topic // of a Source
	SinkTopic   Topic   // of a Sink; the zero Topic when it is chosen per record
	SourceOpts  SourceOptions
	SubTopology int // index in Graph.SubTopologies

	// Keyed says that the node keeps rows by key, or looks rows up by key, so that records
	// with equal keys must meet in one task: all topics from which records reach it, or
	// another keyed node that uses one of its stores, must have equally many partitions.
	Keyed bool

	// Table says that the node's instance sends the rows of a table.
	Table bool

	// New makes the node's instance for one task. children are the instances of Children,
	// in order. The dynamic type of each is a Receiver of what this node forwards or, if
	// the node SendsOld, a ChangeReceiver. A Source's instance is a SourceNode.
	New func(t Task, n *Node, children []any) (any, error)
}

// SendsOld reports whether the node's instance sends a [Change] to a child that is a
// [ChangeReceiver]: it has the rows of its table in a store, or looks rows up in one, or
// its parents send changes.
func (n *Node) SendsOld() bool {
	if !n.Table || len(n.Stores) > 0 {
		return n.Table
	}
	return len(n.Parents) > 0 && !slices.ContainsFunc(n.Parents, func(p *Node) bool { return !p.SendsOld() })
}

// Topic names a topic of the graph. Internal topics carry the application ID in front of
// Name when the application runs: [Topic.In].
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

// OutOfRange says what happens when a committed offset is not in the log any more.
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
	Nodes []*Node // that use it

	// Format says what the rows are: kind of store, windows, serdes. Rows that are there
	// already would be read wrongly by a store of the same name with another Format.
	Format string

	// Rows says the same in parts.
	Rows Rows

	// ByKey says that a table keeps its rows here: each is in the partition of its key. A
	// processor may put any key into the store of any task.
	ByKey bool

	// Own says that it is the runtime's: it is no part of what the user has described.
	Own bool
}

// SubTopology is a connected part of the graph; its tasks are one for each partition of
// the topics it reads.
//
// Sub-topologies are numbered in the order in which their first nodes were built, as
// Kafka Streams does it: what is appended to a program changes no number, and Describe
// gives the same text. What is inserted before may change the numbers of those that
// follow, so whatever is kept longer than a process lives (directories, topics) is named
// by Name.
type SubTopology struct {
	ID int

	// Name is the smallest name of the topics that it reads. No two sub-topologies read
	// the same topic, and an operator that is inserted anywhere changes no name: only
	// another set of topics can.
	Name string

	Nodes  []*Node // in build order
	Stores []*Store

	// Sources are all topics that it reads.
	Sources []Topic
	// CoPartitioned are the groups of topics that must have equally many partitions.
	CoPartitioned [][]Topic
}

// RepartitionTopic is an internal topic between two sub-topologies.
type RepartitionTopic struct {
	Topic      Topic
	Partitions int32 // 0: as many as the topics that feed it
	From, To   int   // sub-topologies
}

// The names of internal topics end in one of these, or in store.ChangelogSuffix.
const (
	RepartitionSuffix = "-repartition"
	registrySuffix    = "-stores-registry"
)

// RegistryTopic returns the name of the topic in which an application records what its
// stores mean. No other internal topic of any application has this name, since they end
// in another way.
func RegistryTopic(applicationID string) string { return applicationID + registrySuffix }
