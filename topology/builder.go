package topology

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Builder collects the operators of a topology. Only one goroutine may use it. The
// handles that it returns pass it on. No call before Build fails: the Builder collects
// mistakes, and Build reports all of them. The zero value is an empty Builder.
type Builder struct {
	nodes        []*node // parents before children
	repartitions []*graph.RepartitionTopic
	globals      []*global
	sources      map[string]*sourceNode // by topic
	patterns     []*sourceNode
	names        names
	problems     []error
	onBuild      []func() error
	values       map[any]any
}

// New returns an empty Builder, like new(Builder). [Source] returns the first handle. The
// zero value of a handle belongs to no Builder; using it panics.
func New() *Builder { return &Builder{} }

// Report adds a problem that Build reports. It is for packages that offer operators of
// their own on top of this one.
func (b *Builder) Report(err error) {
	if err != nil {
		b.problems = append(b.problems, err)
	}
}

// OnBuild registers f to be called when Build starts, in order of registration. f may add
// operators and register more functions. If f returns an error, Build reports it. OnBuild
// is for operators that know their parts only when the topology is complete.
func (b *Builder) OnBuild(f func() error) {
	if f == nil {
		b.problem("OnBuild: the function is nil")
		return
	}
	b.onBuild = append(b.onBuild, f)
}

// Value returns the value that SetValue stored under key, or nil.
func (b *Builder) Value(key any) any { return b.values[key] }

// SetValue stores a value until the topology is built, for packages that offer operators
// of their own. As with context.Context, key should be of a type that is defined in the
// package that uses it.
func (b *Builder) SetValue(key, value any) {
	if b.values == nil {
		b.values = make(map[any]any)
	}
	b.values[key] = value
}

// node is a node while the topology is being built.
type node struct {
	name  string
	auto  bool   // the name is derived; a name that the user chooses takes precedence
	base  string // the beginning of names that are derived from this node
	kind  graph.Kind
	op    string // the operator that the user called: "filter", "count", ...
	keyed bool   // see graph.Node
	table bool   // see graph.Node
	final bool   // see graph.Node
	one   bool   // see graph.Node.OneClock

	answers bool // see graph.Node

	withoutStore bool // a table with this option

	windows     *Windows // of a windowed aggregation
	everyUpdate bool     // of a windowed aggregation
	idleAfter   time.Duration

	parents []*node
	stores  []storeUse

	fromTopic *graph.FromTopic // of a table whose topic is its changelog

	topics     []graph.Topic
	pattern    *graph.Pattern
	sinkTopic  graph.Topic
	sourceOpts graph.SourceOptions

	make maker

	// combine, of the source of a repartition topic, makes the sink combine the records
	// for the aggregation behind it; nil: impossible. combines, of an aggregation, is its
	// operator.Combinable; nil: none.
	combine  func(by any) (sink *node, make maker)
	combines any
}

// maker makes a node's instance for one task; see graph.Node.New.
type maker = func(t graph.Task, n *graph.Node, children []any) (any, error)

// storeUse is a store that a node uses.
type storeUse struct {
	spec    processor.StoreSpec
	windows *Windows // the windows of a windowed table
	table   bool     // a table keeps its rows in the store
	lookUp  bool     // the node only looks rows up
	waiting bool     // see graph.Store
}

// String returns the node as error texts name it.
func (n *node) String() string { return fmt.Sprintf("%s %q", n.op, n.name) }

// add adds a node. If name is empty, the name is derived from the nearest operator above
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

// addFunc adds a processor node that calls a user function.
func (b *Builder) addFunc(n *node, opts []Option, parent *node, given any) *node {
	n.kind = graph.Processor
	b.add(n, nameOf(opts), parent)
	b.needFunc(n, given)
	return n
}

// begin is called before anything is added. It panics without a builder, because nothing
// else could report the problem.
func (b *Builder) begin() {
	if b == nil {
		panic("topology: the handle belongs to no Builder, or the Builder is nil: start with New and Source")
	}
	if b.names == nil {
		b.sources, b.names = make(map[string]*sourceNode), make(names)
	}
}

// addPart adds a node that is a part of a named operator. The name of the node belongs to
// that operator.
func (b *Builder) addPart(n *node, name, base string, parents ...*node) *node {
	b.checkName(n.op, name)
	return b.addUnchecked(n, name, base, parents...)
}

// addUnchecked is addPart for a name that was already reported.
func (b *Builder) addUnchecked(n *node, name, base string, parents ...*node) *node {
	n.parents, n.name, n.base = parents, name, base
	b.nodes = append(b.nodes, n)
	return n
}

// addBefore adds a node in front of next. next is the node that was added last, and both
// are parts of one operator. The name of n is the operator's name followed by part.
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

// problem reports a mistake, in terms of the API that the user called.
func (b *Builder) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf("topology: "+format, args...))
}

// needName reports an operator that lacks the name that it needs.
func (b *Builder) needName(n *node, name, namesWhat string) {
	if name == "" {
		b.problem("%v: needs a name, which names %s", n, namesWhat)
	}
}

// needFunc reports a nil function.
func (b *Builder) needFunc(n *node, f any) {
	if isNil(f) {
		b.problem("%v: the function is nil", n)
	}
}

// needSerde reports a missing serde. of is "key" or "value".
func (b *Builder) needSerde(n *node, of string, serde any, why string) {
	if isNil(serde) {
		b.problem("%v: needs a serde for its %ss, %s: pass it to the operator that gives the %ss their type", n, of, why, of)
	}
}

// needSerdes reports serdes that are missing where both are needed.
func (b *Builder) needSerdes(n *node, s serdes, why string) {
	b.needSerde(n, "key", s.keys, why)
	b.needSerde(n, "value", s.values, why)
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
