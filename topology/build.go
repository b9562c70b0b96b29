package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// Topology is a validated topology, ready to run. It is immutable, and may be used by
// several applications at once.
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

// Build validates the topology. The error joins all mistakes (see errors.Join). The
// Builder stays usable: add more operators and call Build again. Topologies that were
// built before do not change.
func (b *Builder) Build() (*Topology, error) {
	stores, problems := b.prepare()
	globals, wrong := b.buildGlobals()
	problems = slices.Concat(problems, wrong, b.checkSinks(stores), b.checkPatterns(), b.checkIdle(), b.checkReaders())
	if len(b.sources)+len(b.patterns) == 0 {
		problems = append(problems, errors.New("topology: there is no source: start with topology.Source"))
	}
	if err := errors.Join(distinct(problems)...); err != nil {
		return nil, err
	}
	g := b.graph(stores)
	g.Globals = globals
	if err := errors.Join(g.CheckFixed(), addTimes(g)); err != nil {
		return nil, err
	}
	return &Topology{g: g}, nil
}

// prepare calls the functions of OnBuild. It returns the stores and all problems.
func (b *Builder) prepare() (stores []*graph.Store, problems []error) {
	for len(b.onBuild) > 0 {
		f := b.onBuild[0]
		b.onBuild = b.onBuild[1:]
		b.Report(f())
	}
	b.settleNames()
	stores, problems = b.stores()
	return stores, slices.Concat(b.problems, problems)
}

// settleNames renames nodes with a derived name if the user has meanwhile chosen that
// name for another node.
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
	first := make(map[string]*node) // the first node that uses the store
	for _, n := range b.nodes {
		seen := make(map[string]bool)
		for _, use := range n.stores {
			if b.reads(use) {
				continue
			}
			spec, wrong := specOf(use.spec)
			if len(wrong) > 0 {
				for _, err := range wrong {
					problems = append(problems, fmt.Errorf("topology: %v: %w", n, err))
				}
				continue
			}
			name := spec.Name
			if g := b.global(name); g != nil {
				problems = append(problems, fmt.Errorf("topology: %v: the %v has the name of the store %q: give one of them another name, or pass the handle of the global store to read it", n, g, name))
				continue
			}
			switch s := byName[name]; {
			case seen[name]:
				problems = append(problems, fmt.Errorf("topology: %v: was given store %q twice", n, name))
			case s == nil:
				s = &graph.Store{Name: name, Spec: spec, Format: formatOf(spec, use.windows), Earlier: earlierFormats(spec, use.windows), Rows: rowsOf(spec, use.windows), ByKey: use.table, Waiting: use.waiting, FromTopic: n.fromTopic}
				byName[name], first[name] = s, n
				stores = append(stores, s)
			case s.Spec == spec:
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

// reads reports whether the node only reads the store, because it is a global store.
func (b *Builder) reads(use storeUse) bool {
	if isNil(use.spec) {
		return false
	}
	g := b.global(use.spec.StoreName())
	if g == nil {
		return false
	}
	handle, ok := use.spec.(interface{ globalSpec() processor.StoreSpec })
	return g.spec == use.spec || ok && handle.globalSpec() == g.spec
}

// specOf returns the description of a spec, and its mistakes.
func specOf(spec processor.StoreSpec) (*store.Spec, []error) {
	s, err := store.Of(spec)
	if err != nil {
		return nil, parts(err)
	}
	if err := checkTopicName(s.Name); err != nil {
		return nil, []error{fmt.Errorf("store %q: bad name: %w", s.Name, err)}
	}
	return s, nil
}

// parts splits an error that was made by errors.Join.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// formatOf returns the format of a store as the topology's shape records it. windows are
// those of a windowed table, or nil.
func formatOf(spec *store.Spec, windows *Windows) string {
	return withWindows(spec.Format(), windows)
}

// earlierFormats returns what formatOf returned for the earlier formats of the values.
func earlierFormats(spec *store.Spec, windows *Windows) []string {
	return spec.Migrations.Formats(func(values any) string { return withWindows(spec.FormatOf(values), windows) })
}

func withWindows(format string, windows *Windows) string {
	if windows == nil {
		return format
	}
	return format + ", " + windows.String()
}

// rowsOf returns the same facts as formatOf, in parts.
func rowsOf(spec *store.Spec, windows *Windows) graph.Rows {
	rows := graph.RowsOf(spec)
	if windows == nil {
		return rows
	}
	rows.Advance = windows.advance
	if windows.kind == unlimited {
		rows.Start = windows.start.UnixMilli()
	}
	return rows
}

// checkSinks reports sinks that write to a topic with the name of an internal topic.
func (b *Builder) checkSinks(stores []*graph.Store) (problems []error) {
	internal := make(map[string]string)
	for _, r := range b.repartitions {
		internal[r.Topic.Name] = "use the stream or the Grouped that is repartitioned instead"
		if r.Message {
			internal[r.Topic.Name] = "only its join may write to it"
		}
	}
	for _, s := range stores {
		internal[s.Name+store.ChangelogSuffix] = "only its store may write to it"
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

// distinct removes problems with the same text as an earlier one.
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

// graph returns the graph. It shares nothing mutable with the builder.
func (b *Builder) graph(stores []*graph.Store) *graph.Graph {
	combining := b.combining()
	made := make(map[*node]*graph.Node, len(b.nodes))
	nodes := make([]*graph.Node, len(b.nodes))
	for i, n := range b.nodes {
		g := &graph.Node{
			Name: n.name, Kind: n.kind, Type: n.op, Keyed: n.keyed, Table: n.table, Final: n.final, OneClock: n.one, IdleAfter: n.idleAfter, Answers: n.answers,
			Topics: n.topics, Pattern: n.pattern, SinkTopic: n.sinkTopic, SourceOpts: n.sourceOpts, New: n.make,
		}
		if combined := combining[n]; combined != nil {
			g.New = combined
		}
		for _, p := range n.parents {
			g.Parents = append(g.Parents, made[p])
		}
		for _, use := range n.stores {
			if b.reads(use) {
				g.Globals = append(g.Globals, use.spec.StoreName())
			} else {
				g.Stores = append(g.Stores, use.spec.StoreName())
			}
			if use.lookUp {
				g.LooksUp = append(g.LooksUp, use.spec.StoreName())
			}
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

// combining returns the makers of the sinks that combine records: those in front of a
// repartition topic that only one aggregation reads.
func (b *Builder) combining() map[*node]maker {
	readers := make(map[*node][]*node)
	for _, n := range b.nodes {
		for _, p := range n.parents {
			readers[p] = append(readers[p], n)
		}
	}
	makers := make(map[*node]maker)
	for source, by := range readers {
		if source.combine != nil && len(by) == 1 && by[0].combines != nil {
			sink, combined := source.combine(by[0].combines)
			makers[sink] = combined
		}
	}
	return makers
}
