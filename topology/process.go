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
// The processor forwards records of the types K2 and V2. Their serdes may be nil if no
// value of the type is stored or sent. A processor may also implement [processor.Flusher]
// and [processor.Closer].
func Process[K, V, K2, V2 any, P processor.Processor[K, V, K2, V2]](s Stream[K, V], name string, newP func() P, ks serde.Serde[K2], vs serde.Serde[V2], stores ...processor.StoreSpec) Stream[K2, V2] {
	n := s.b.add(&node{kind: graph.Processor, op: "process"}, name, s.n)
	s.b.needName(n, name, "its node and its positions")
	s.b.needFunc(n, newP)
	for _, spec := range stores {
		n.stores = append(n.stores, storeUse{spec: spec})
	}
	n.make = operator.Process[K, V, K2, V2]{
		Make: func() processor.Processor[K, V, K2, V2] { return newP() }, Keys: ks, Values: vs,
	}.New
	if newP != nil {
		s.b.OnBuild(func() error { return checkNew(n, newP) })
	}
	return Stream[K2, V2]{flow[K2, V2]{b: s.b, n: n, keys: ks, values: vs, rekeyed: true}}
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
