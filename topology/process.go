package topology

import (
	"fmt"
	"reflect"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Process handles the records with a user-written processor. newP makes one for each
// task, and must return a new one for each call. To check this, Build calls newP twice
// and discards both processors without calling Init.
//
// The processor may use the stores of the specs. If several Process calls are given the
// same spec, they share one store and are in one sub-topology.
//
// The processor may read a [Global] or the store of a [Table]: pass the handle as if it
// were a spec, and open it in Init with state.OpenGlobal, or with state.OpenTable,
// windowstore.OpenTable, sessionstore.OpenTable or versionedstore.OpenTable.
//
// The processor forwards records of the types K2 and V2. Their serdes may be nil if no
// value of the type is stored or sent. A processor may also implement [processor.Flusher]
// and [processor.Closer].
func Process[K, V, K2, V2 any, P processor.Processor[K, V, K2, V2]](s Stream[K, V], name string, newP func() P, ks serde.Serde[K2], vs serde.Serde[V2], stores ...processor.StoreSpec) Stream[K2, V2] {
	n := addProcess(s.b, processOp, name, s.n, newP, stores)
	n.make = operator.Process[K, V, K2, V2]{
		Make: func() processor.Processor[K, V, K2, V2] { return newP() }, Keys: ks, Values: vs,
	}.New
	return Stream[K2, V2]{flow[K2, V2]{b: s.b, n: n, keys: ks, values: vs, rekeyed: true}}
}

// ProcessValues is [Process] with a processor that cannot change the keys of the records.
// A record keeps its key, by the types of [processor.FixedKeyProcessor]. Unlike after
// Process, grouping and joining by key therefore need no repartitioning.
//
// The stream keeps the serde of the keys.
func ProcessValues[K, V, V2 any, P processor.FixedKeyProcessor[K, V, V2]](s Stream[K, V], name string, newP func() P, vs serde.Serde[V2], stores ...processor.StoreSpec) Stream[K, V2] {
	n := addProcess(s.b, processValuesOp, name, s.n, newP, stores)
	n.make = operator.Process[K, V, K, V2]{
		Make: func() processor.Processor[K, V, K, V2] { return processor.FixedKeys(newP()) }, Keys: s.keys, Values: vs,
	}.New
	return Stream[K, V2]{flow[K, V2]{b: s.b, n: n, keys: s.keys, values: vs, rekeyed: s.rekeyed}}
}

// ProcessTable gives each row of a table another value, which a processor computes. It is
// [MapTable] for a function that has stores, schedules, or a say in whether and when the
// row changes.
//
//	leagues := topology.ProcessTable(scores, "leagues", newP, serde.String, highest)
//	leagueOf := leagues.Stored("league-of")
//
// The processor gets each update of the table, as [ProcessValues] would get it behind
// [Table.Stream]: with the timestamp and the headers of the update, and with NoValue if
// the row was deleted. Updates of a row between two commits come as one; see
// [EveryUpdate]. A record that the processor forwards, at once or later, is the new row
// of its key in the result, and a record without a value deletes that row. If it forwards
// nothing, or the error policy skips the record, the row in the result stays unchanged.
//
// The result has no store, and forwards each row at once. [Table.Stored] gives it one.
// GroupTable, joins, Suppress and queries need that store: it has the old row of each
// update, for which the processor is not asked again. The processor may therefore depend
// on its stores, unlike the function of MapTable.
//
// If the table is [Versioned] and forwards every update, the processor also gets the
// updates of the past. What it forwards for them is an update of the past, too.
func ProcessTable[K, V, V2 any, P processor.FixedKeyProcessor[K, V, V2]](t Table[K, V], name string, newP func() P, vs serde.Serde[V2], stores ...processor.StoreSpec) Table[K, V2] {
	n := addProcess(t.b, processTableOp, name, t.n, newP, stores)
	n.make = operator.Process[K, V, K, V2]{
		Make: func() processor.Processor[K, V, K, V2] { return processor.FixedKeys(newP()) }, Keys: t.keys, Values: vs,
	}.New
	return Table[K, V2]{b: t.b, n: n, keys: t.keys, values: vs, window: t.window}
}

// The operators of user-written processors.
const (
	processOp       = "process"
	processValuesOp = "processValues"
	processTableOp  = "processTable"
)

// addProcess adds a node for a user-written processor.
func addProcess[P any](b *Builder, op, name string, parent *node, newP func() P, stores []processor.StoreSpec) *node {
	n := b.add(&node{kind: graph.Processor, op: op}, name, parent)
	b.needName(n, name, "its node and its positions")
	b.needFunc(n, newP)
	for _, spec := range stores {
		if table, ok := spec.(interface{ place() place }); ok {
			b.readTable(n, table.place())
			continue
		}
		n.stores = append(n.stores, storeUse{spec: spec})
	}
	if newP != nil {
		b.OnBuild(func() error { return checkNew(n, newP) })
	}
	return n
}

// readTable makes the processor n read the store of a table.
func (b *Builder) readTable(n *node, t place) {
	if !b.sameBuilder(n, t.b) {
		return
	}
	if t.store == "" {
		remedy := "call Stored on it and pass the table that Stored returns"
		if t.n.withoutStore {
			remedy = "remove WithoutStore where the table is made, or " + remedy
		}
		b.problem("%v: was given the table of %v, which has no store: %s", n, t.n, remedy)
		return
	}
	for _, use := range t.n.stores {
		if use.spec.StoreName() == t.store {
			use.lookUp = true
			n.stores = append(n.stores, use)
		}
	}
}

// checkNew reports a constructor that returns nil, or that returns the same processor
// twice, which the tasks would then share.
func checkNew[P any](n *node, newP func() P) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("topology: %v: %w", n, err)
		}
	}()
	defer graph.Guard(&err)
	first, second := reflect.ValueOf(newP()), reflect.ValueOf(newP())
	if !first.IsValid() || first.Kind() == reflect.Pointer && first.IsNil() {
		return fmt.Errorf("the function returned nil: return a new processor")
	}
	// Two pointers to zero-size values may be equal.
	if first.Kind() == reflect.Pointer && first.Type().Elem().Size() > 0 && first.Pointer() == second.Pointer() {
		return fmt.Errorf("the function returned the same processor twice: return a new one for each call, because each task needs its own")
	}
	return nil
}
