package topology

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Topology is a validated topology, ready to run. It is immutable, and may be used by several applications at once.
type Topology struct {
	g *graph.Graph
}

func init() {
	graph.OpenWith(func(topology any) (*graph.Graph, bool) {
		t, ok := topology.(*Topology)
		if !ok || t == nil || t.g == nil {
			return nil, false
		}
		return t.g, true
	})
}

// Build validates the topology. The error joins everything that is wrong with it (see errors.Join). A Builder may be built again after
// more operators have been added; what was built before stays as it is.
func (b *Builder) Build() (*Topology, error) {
	for len(b.onBuild) > 0 {
		f := b.onBuild[0]
		b.onBuild = b.onBuild[1:]
		b.Report(f())
	}
	b.settleNames()
	stores, problems := b.stores()
	problems = slices.Concat(b.problems, problems, b.checkSinks(stores))
	if len(b.sources) == 0 {
		problems = append(problems, errors.New("topology: there is no source: start with topology.Source"))
	}
	if err := errors.Join(distinct(problems)...); err != nil {
		return nil, err
	}
	g := b.graph(stores)
	if err := addTimes(g); err != nil {
		return nil, err
	}
	return &Topology{g: g}, nil
}

// settleNames gives other names to nodes without a name of their own whose names the user has given to others in the meantime.
func (b *Builder) settleNames() {
	for _, n := range b.nodes {
		if n.auto && b.names[n.name] != "" {
			n.name = b.names.derive(n.name)
		}
	}
}

// stores returns the stores that the nodes use, in order of their first use.
func (b *Builder) stores() (stores []*graph.Store, problems []error) {
	byName := make(map[string]*graph.Store)
	first := make(map[string]*node) // that uses the store
	for _, n := range b.nodes {
		seen := make(map[string]bool)
		for _, use := range n.stores {
			if wrong := checkSpec(use.spec); len(wrong) > 0 {
				for _, err := range wrong {
					problems = append(problems, fmt.Errorf("topology: %v: %w", n, err))
				}
				continue
			}
			name := use.spec.StoreName()
			switch s := byName[name]; {
			case seen[name]:
				problems = append(problems, fmt.Errorf("topology: %v: was given store %q twice", n, name))
			case s == nil:
				s = &graph.Store{Name: name, Spec: use.spec, Format: use.format, Rows: use.rows}
				byName[name], first[name] = s, n
				stores = append(stores, s)
			case sameSpec(s.Spec, use.spec):
			case n.name == name && first[name].name == name:
				// checkName has reported the two tables of one name.
			default:
				problems = append(problems, fmt.Errorf("topology: %v: there is another store %q already: give one of them another name, or pass the same spec to share it", n, name))
			}
			seen[name] = true
		}
	}
	return stores, problems
}

// checkSpec returns what is wrong with a spec.
func checkSpec(spec processor.StoreSpec) []error {
	if isNil(spec) {
		return []error{errors.New("was given a nil store: use state.KeyValue or windowstore.New")}
	}
	if _, ok := spec.(engine.Spec); !ok {
		return []error{fmt.Errorf("store %q: %T describes no store: use state.KeyValue or windowstore.New", spec.StoreName(), spec)}
	}
	if v, ok := spec.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return parts(err)
		}
	}
	if err := checkTopicName(spec.StoreName()); err != nil {
		return []error{fmt.Errorf("store %q: bad name: %w", spec.StoreName(), err)}
	}
	return nil
}

// parts takes apart what errors.Join has put together.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func sameSpec(a, b processor.StoreSpec) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// useOf describes the use of a store by a processor.
func useOf(spec processor.StoreSpec) storeUse {
	return storeUse{spec: spec, format: formatOf(spec), rows: rowsOf(spec)}
}

// rowsOf says what formatOf says, in parts. Windows are known by their size only.
func rowsOf(spec processor.StoreSpec) graph.Rows {
	var rows graph.Rows
	serdes, ok := spec.(interface{ Serdes() (keys, values any) })
	if !ok || isNil(spec) {
		return rows
	}
	keys, values := serdes.Serdes()
	rows.Kind, rows.Key, rows.Value = graph.KeyValueRows, serde.FormatName(keys), serde.FormatName(values)
	if w, windows := spec.(interface {
		Windows() (size time.Duration, duplicates bool)
	}); windows {
		rows.Kind = graph.WindowRows
		rows.Size, rows.Duplicates = w.Windows()
	}
	return rows
}

// formatOf says what a spec of the user's stores, as far as it tells. Retention is no part of it: a window store keeps finding its rows when that changes.
func formatOf(spec processor.StoreSpec) string {
	kind := "a store of its processors"
	serdes, ok := spec.(interface{ Serdes() (keys, values any) })
	if !ok || isNil(spec) {
		return kind
	}
	kind = "a key-value store"
	if _, windows := spec.(interface{ Layout() engine.WindowLayout }); windows {
		kind = "a window store"
	}
	keys, values := serdes.Serdes()
	return kind + " of " + serde.FormatName(keys) + " to " + serde.FormatName(values)
}

// checkSinks reports sinks that write to topics that look like the topology's own.
func (b *Builder) checkSinks(stores []*graph.Store) (problems []error) {
	internal := make(map[string]string)
	for _, r := range b.repartitions {
		internal[r.Topic.Name] = "use the stream or the Grouped that is repartitioned instead"
	}
	for _, s := range stores {
		internal[s.Name+graph.ChangelogSuffix] = "only its store may write to it"
	}
	for _, n := range b.nodes {
		for name, instead := range internal {
			if t := n.sinkTopic; !t.Internal && (t.Name == name || strings.HasSuffix(t.Name, "-"+name)) {
				problems = append(problems, fmt.Errorf("topology: %v: topic %q has the name of an internal topic, <app>-%s: %s", n, t.Name, name, instead))
			}
		}
	}
	return problems
}

// distinct leaves out problems that say the same as one before.
func distinct(problems []error) []error {
	seen := make(map[string]bool)
	return slices.DeleteFunc(problems, func(err error) bool {
		if err == nil || seen[err.Error()] {
			return true
		}
		seen[err.Error()] = true
		return false
	})
}

// graph returns the graph. It shares nothing that is still changed with the builder.
func (b *Builder) graph(stores []*graph.Store) *graph.Graph {
	made := make(map[*node]*graph.Node, len(b.nodes))
	nodes := make([]*graph.Node, len(b.nodes))
	for i, n := range b.nodes {
		g := &graph.Node{
			Name: n.name, Kind: n.kind, Type: n.op, Keyed: n.keyed, Table: n.table,
			Topics: n.topics, SinkTopic: n.sinkTopic, SourceOpts: n.sourceOpts, New: n.make,
		}
		for _, p := range n.parents {
			g.Parents = append(g.Parents, made[p])
		}
		for _, use := range n.stores {
			g.Stores = append(g.Stores, use.spec.StoreName())
		}
		made[n], nodes[i] = g, g
	}
	repartitions := make([]*graph.RepartitionTopic, len(b.repartitions))
	for i, r := range b.repartitions {
		topic := *r
		repartitions[i] = &topic
	}
	return graph.Assemble(nodes, stores, repartitions)
}
