package topology

import (
	"fmt"
	"reflect"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Process handles the records with a processor of the user's own. newP makes one for each task, and two more during Build, which are thrown away
// without Init; it must return a new one each time. The processor may use the stores of the specs. The same spec given to several Process calls is one
// store that they share, which puts them into one sub-topology.
//
// What the processor forwards has the types K2 and V2, whose serdes may be nil where nothing is stored or sent. A processor may implement
// [processor.Flusher] and [processor.Closer] too.
func Process[K, V, K2, V2 any, P processor.Processor[K, V, K2, V2]](s Stream[K, V], name string, newP func() P, ks serde.Serde[K2], vs serde.Serde[V2], stores ...processor.StoreSpec) Stream[K2, V2] {
	n := s.b.add(&node{kind: graph.Processor, op: "process"}, name, s.n)
	s.b.needName(n, name, "its node and its positions")
	s.b.needFunc(n, newP)
	for _, spec := range stores {
		n.stores = append(n.stores, useOf(spec))
	}
	n.make = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		return newProcess[K, V](instance{t, n}, newP(), children, absenceOf(ks), absenceOf(vs))
	}
	if newP != nil {
		s.b.OnBuild(func() error { return checkNew(n, newP) })
	}
	return Stream[K2, V2]{b: s.b, n: n, keys: ks, values: vs, rekeyed: true}
}

// checkNew reports a constructor that returns nothing, or the same processor twice: tasks would share it.
func checkNew[P any](n *node, newP func() P) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("topology: %v: %w", n, err)
		}
	}()
	defer graph.Guard(&err)
	first, second := reflect.ValueOf(newP()), reflect.ValueOf(newP())
	if !first.IsValid() || first.Kind() == reflect.Pointer && first.IsNil() {
		return fmt.Errorf("the function returns a nil processor")
	}
	// Pointers to values of no size may be equal although they were made apart.
	if first.Kind() == reflect.Pointer && first.Type().Elem().Size() > 0 && first.Pointer() == second.Pointer() {
		return fmt.Errorf("the function returns the same processor twice, it must make a new one for each task")
	}
	return nil
}

// processInstance runs a processor, and is its Context.
type processInstance[K, V, K2, V2 any] struct {
	nodeContext[K2, V2]
	processor processor.Processor[K, V, K2, V2]
}

func newProcess[K, V, K2, V2 any](i instance, p processor.Processor[K, V, K2, V2], children []any, keys absence[K2], values absence[V2]) (*processInstance[K, V, K2, V2], error) {
	receivers, err := receiversOf[K2, V2](children)
	if err != nil {
		return nil, err
	}
	n := &processInstance[K, V, K2, V2]{processor: p}
	n.nodeContext = nodeContext[K2, V2]{instance: i, receivers: receivers, keys: keys, values: values, at: noTime}
	n.nodeContext.logger = i.task.Logger().With("node", i.node.Name)
	if f, ok := p.(processor.Flusher[K2, V2]); ok {
		i.task.OnFlush(i.node, func() error {
			return n.call(timeBetweenRecords(i.task), func() error { return f.Flush(&n.nodeContext) })
		})
	}
	if c, ok := p.(processor.Closer); ok {
		i.task.OnClose(i.node, c.Close)
	}
	if err := n.call(timeBetweenRecords(i.task), func() error { return p.Init(&n.nodeContext) }); err != nil {
		return nil, fmt.Errorf("method Init: %w", err)
	}
	return n, nil
}

func (n *processInstance[K, V, K2, V2]) Receive(r *graph.Record[K, V]) error {
	n.forwarded, n.at = false, r.Timestamp
	err := n.process(r)
	if n.at = noTime; n.failure != nil {
		return n.failure
	}
	if err == nil && n.misuse == nil {
		return nil
	}
	return n.processFailed(r, err)
}

func (n *processInstance[K, V, K2, V2]) process(r *graph.Record[K, V]) (err error) {
	if len(n.node.Stores) > 0 {
		before := n.task.SetWriteTime(r.Timestamp)
		defer func() { n.task.SetWriteTime(before) }()
	}
	defer graph.Guard(&err)
	return n.processor.Process(&n.nodeContext, r.Record)
}

// processFailed gives the error to the policy. What has effects besides its result must not simply be called again.
func (n *processInstance[K, V, K2, V2]) processFailed(r *graph.Record[K, V], err error) error {
	var again func() error
	if !n.forwarded && len(n.node.Stores) == 0 {
		again = func() error {
			err := n.call(r.Timestamp, func() error { return n.process(r) })
			if n.forwarded {
				return graph.Effects(err)
			}
			return err
		}
	}
	ok, failure := n.failed(n.mistakes(err), again)
	if !ok {
		return failure
	}
	return n.failure
}
