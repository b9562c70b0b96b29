// Package operator holds the nodes of a running task. It has one generic type for each
// kind of node. A node receives records, calls the user's function, and forwards to its
// children.
//
// Package topology builds a graph.Graph. Each node of the graph has a function that makes
// the node's instance for one task. That function is the New method of one of this
// package's configurations, for example Filter or Aggregate. A configuration is
// immutable, and all tasks share it. An instance belongs to one task and is called by its
// goroutine.
//
// This package does not validate the graph: Build has done that.
//
// # What a node receives
//
// Instances are made children first. A node asserts the types of its children once, when
// its own instance is made. From then on a record passes from node to node by typed
// calls, without boxing and without allocation.
//
//   - A source receives graph.Input. It is a graph.SourceNode.
//   - A node on a stream receives graph.Record. It is a graph.Receiver.
//   - A node on a table that needs the new rows only receives graph.Record too.
//   - A node on a table that also needs the old rows receives graph.Change. It is a
//     graph.ChangeReceiver.
//
// # Tables
//
// A node that keeps a table has its rows in a store. All such nodes share the types rows
// and updates, which send the rows to the children. Updates of a row between two commits
// are merged, unless every update is sent. An update is sent as a graph.Change if at
// least one child of the node needs the old rows. The old row is what the children were
// last sent:
//
//   - with merged updates, the row as of the last commit;
//   - with every update sent, the row before the update.
//
// If a value was sent as part of a Change, or to a node in front of a store, it is never
// given to a function that may change it in place. Such a function gets a copy, decoded
// from the value's encoding. A receiver may therefore keep both values of a Change, and a
// store may keep the value that it was sent.
//
// # Joins
//
// A join looks rows up through a View, which reads the cells of the tables' stores and
// applies the functions of the tables that have none. The join's node uses these stores.
//
// A record of a stream is joined with the newest row. An update of a table is joined with
// the row that the other table has sent last (Cells.Sent). That is the new row after its
// flush, and the old one before. Each side of a join therefore sees the rows that the
// other side has sent, and the old value of an update of the result is the value that was
// sent before.
//
// A foreign-key join consists of nodes in two sub-topologies, which send messages to each
// other (see package foreign). ForeignSubscribe and ForeignResolve are on the left side,
// ForeignReceive and ForeignUpdate on the right side. Both sides look up the rows that
// were sent last.
//
// A join of two streams keeps the records of both in stores of its own. Its node has the
// stores. The two nodes in front of it, one for each stream, only pass the records on.
//
// Nodes below the join may keep a value that a lookup returns. The cell is then marked as
// lent, and an aggregation does not change the value in place.
package operator
