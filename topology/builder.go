package topology

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Builder collects the operators of a topology. It is used by one goroutine, and passed
// around by the handles that it gives out. Nothing that is called on the way to Build
// fails: mistakes are collected, and Build reports all of them. The zero value is an
// empty Builder.
type Builder struct {
	nodes        []*node // parents before children
	repartitions []*graph.RepartitionTopic
	sources      map[string]*sourceNode // by topic
	names        names
	problems     []error
	onBuild      []func() error
	values       map[any]any
}

// New returns an empty Builder, as new(Builder) does. Handles come from it through
// [Source]; a handle that is the zero value belongs to no builder, and using it panics.
func New() *Builder { return &Builder{} }

// Report adds a problem to those that Build reports. It is for packages that offer
// operators of their own on top of this one.
func (b *Builder) Report(err error) {
	if err != nil {
		b.problems = append(b.problems, err)
	}
}

// OnBuild registers f to be called when Build starts, in order of registration; it may
// add operators, and register more functions. The error, if any, is one of the problems
// that Build reports. It is for operators that only know at the end what they consist of.
func (b *Builder) OnBuild(f func() error) {
	if f == nil {
		b.problem("OnBuild: the function is nil")
		return
	}
	b.onBuild = append(b.onBuild, f)
}

// Value returns what was kept with SetValue under key, or nil.
func (b *Builder) Value(key any) any { return b.values[key] }

// SetValue keeps a value for the time of building, for packages that offer operators of
// their own. As with context.Context, key should be of a type of the package that uses
// it.
func (b *Builder) SetValue(key, value any) {
	if b.values == nil {
		b.values = make(map[any]any)
	}
	b.values[key] = value
}

// node is a node while the topology is being built.
type node struct {
	name  string
	auto  bool   // the name was made up, and gives way to one that the user chose
	base  string // what names derived from this node start with
	kind  graph.Kind
	op    string // what the user called: "filter", "count", ...
	keyed bool   // see graph.Node
	table bool   // see graph.Node

	parents []*node
	stores  []storeUse

	topics     []graph.Topic
	sinkTopic  graph.Topic
	sourceOpts graph.SourceOptions

	make maker
}

// maker makes a node's instance for one task; see graph.Node.New.
type maker = func(t graph.Task, n *graph.Node, children []any) (any, error)

// storeUse is a store that a node uses.
type storeUse struct {
	spec    processor.StoreSpec
	windows *Windows // of a windowed table
	table   bool     // a table keeps its rows in the store
}

// String is how problems name a node.
func (n *node) String() string { return fmt.Sprintf("%s %q", n.op, n.name) }

// add adds a node. With an empty name the node is called after the nearest operator above
// that the user named.
func (b *Builder) add(n *node, name string, parents ...*node) *node {
	b.begin()
	n.parents = parents
	if name == "" {
		n.base = baseOf(parents)
		n.name, n.auto = b.names.derive(n.base+"-"+n.op), true
	} else {
		n.name, n.base = name, name
		b.checkName(n.op, name)
	}
	b.nodes = append(b.nodes, n)
	return n
}

// begin is called before anything is added. Without a builder there is nobody to report
// the problem to.
func (b *Builder) begin() {
	if b == nil {
		panic("topology: the handle belongs to no Builder, or the Builder is nil: start with New and Source")
	}
	if b.names == nil {
		b.sources, b.names = make(map[string]*sourceNode), make(names)
	}
}

// addPart adds a node that is a part of a named operator, and whose name belongs to that
// one.
func (b *Builder) addPart(n *node, name, base string, parents ...*node) *node {
	b.checkName(n.op, name)
	return b.addUnchecked(n, name, base, parents...)
}

// addUnchecked is addPart for a name about which the user has been told already.
func (b *Builder) addUnchecked(n *node, name, base string, parents ...*node) *node {
	n.parents, n.name, n.base = parents, name, base
	b.nodes = append(b.nodes, n)
	return n
}

// addBefore adds a node that is a part of the operator whose node next is the one that was
// added last, and which comes before it. part is behind the operator's name in its name.
func (b *Builder) addBefore(next, n *node, part string, parents ...*node) *node {
	n.parents, n.base, n.name = parents, next.base, next.name+"-"+part
	if next.auto {
		n.name, n.auto = b.names.derive(n.name), true
	} else {
		b.checkName(n.op, n.name)
	}
	b.nodes = slices.Insert(b.nodes, len(b.nodes)-1, n)
	return n
}

func baseOf(parents []*node) string {
	if len(parents) == 0 {
		return ""
	}
	return parents[0].base
}

// problem reports a mistake in the user's words.
func (b *Builder) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf("topology: "+format, args...))
}

// needName reports an operator without the name that it must have.
func (b *Builder) needName(n *node, name, namesWhat string) {
	if name == "" {
		b.problem("%v: needs a name, which is that of %s", n, namesWhat)
	}
}

// needFunc reports a nil function.
func (b *Builder) needFunc(n *node, f any) {
	if isNil(f) {
		b.problem("%v: the function is nil", n)
	}
}

// needSerde reports a serde that is missing where it is needed; of is "key" or "value".
func (b *Builder) needSerde(n *node, of string, serde any, why string) {
	if isNil(serde) {
		b.problem("%v: needs a serde of the %ss, %s: give one where the %ss get their type", n, of, why, of)
	}
}

// sameBuilder reports a handle of another builder.
func (b *Builder) sameBuilder(n *node, other *Builder) bool {
	if b != other {
		b.problem("%v: was given a handle of another Builder", n)
	}
	return b == other
}

func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Func, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return r.IsNil()
	}
	return false
}
