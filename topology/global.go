package topology

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// Global is a handle of a global store: a table that each process has whole.
// [GlobalTable] and [GlobalStore] make one.
//
//   - [JoinGlobal] joins a stream with it, by any key.
//   - A processor reads it: pass the Global to [Process], and open it with
//     state.OpenGlobal.
//   - Queries read it in any process.
type Global[K, V any] struct {
	b    *Builder
	spec processor.StoreSpec
	keys serde.Serde[K]
	vals serde.Serde[V]
}

// Builder returns the builder that the global store belongs to.
func (g Global[K, V]) Builder() *Builder { return g.b }

// StoreName returns the name of the store.
func (g Global[K, V]) StoreName() string {
	if g.spec == nil { // the zero value: Build reports its use
		return ""
	}
	return g.spec.StoreName()
}

// KeySerde returns the serde of the keys.
func (g Global[K, V]) KeySerde() serde.Serde[K] { return g.keys }

// ValueSerde returns the serde of the values.
func (g Global[K, V]) ValueSerde() serde.Serde[V] { return g.vals }

// globalSpec returns the spec of the store. With it, Build recognises a Global that is
// passed to Process.
func (g Global[K, V]) globalSpec() processor.StoreSpec { return g.spec }

// GlobalTable reads a topic as a table that each process has whole, with the rows of all
// partitions. A record is the new row of its key; a record without a value deletes the
// row. It is for small tables that streams look up by any key: countries, prices, flags.
//
//	regions := topology.GlobalTable(b, "regions", serde.String, serde.JSON[Region]())
//	priced := topology.JoinGlobal(orders, regions, regionOf, price, pricedSerde)
//
// Before a process joins the group, it reads the topic up to its end. No record is
// therefore processed without the rows that the topic had at the start. From then on the
// process applies new records as they come, whatever their timestamps. A global table is
// not synchronised with the streams that look it up, and two processes may see an update
// at different moments. If a join with a global table processes a record again, for
// example after an abort, the result may differ.
//
// The store has the name of the topic, or the name that [Named] gives. It has no
// changelog, because it can be restored from the topic. The rows are on disk, so a
// restart reads only new records. With [InMemory] the whole topic is read at each start.
// A process reads the whole topic again in these cases:
//
//   - Its disk is lost.
//   - The topic was deleted and created again, or has lost records that the process has
//     read.
//   - The topic begins after the last record that the process has read.
//   - The state on disk is older than delete.retention.ms, and the topic has new records.
//     Deletions may then be gone from the topic.
//   - The serdes, the name of the store, or the topic have changed.
//
// The topic should be compacted. If the broker deletes old records from it
// (cleanup.policy=delete), a process that reads the topic again lacks their rows, and
// processes differ. At each start, a warning in the log says so, and HookTableRetention
// is told. Keep the topic small: each process reads and stores it.
//
// Records without a key are dropped, and counted as dropped. A record that cannot be
// decoded goes to the error policy, with the phase decode. This happens in each process,
// and again whenever a process reads the topic again. Dead letters may therefore repeat.
// Two dead letters with the same topic, partition and offset in their headers are from
// the same record.
//
// No other source of the topology may read the topic. The topology needs at least one
// source beside its global tables.
func GlobalTable[K, V any](b *Builder, topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...GlobalOption) Global[K, V] {
	var o globalOptions
	for _, opt := range withoutNil(opts) {
		opt.applyGlobal(&o)
	}
	if o.name == "" {
		o.name = topic
	}
	g := b.addGlobal("globalTable", topic, o)
	s := sources(g.part, []string{topic}, ks, vs, o.source)
	table := keep(s.flow, g.part.add(&node{op: "globalTable"}, "", s.n), o.name, o.table)
	g.spec, g.read = state.KeyValue(o.name, ks, vs), store.Reading(ks, vs)
	if uses := table.n.stores; len(uses) > 0 {
		g.spec = uses[0].spec
	}
	return Global[K, V]{b, g.spec, ks, vs}
}

// GlobalStore is [GlobalTable] with a processor, which decides how each record of the
// topic changes the store. Only this processor may write the store.
//
// spec describes the store. It has no changelog, whatever its options. newP makes the
// processor, and must return a new one for each call. The processor opens the store with
// state.Open. It has no children, so records that it forwards have no effect. Its node
// has the name of the store; the option [Named] names the source in front of it.
//
// The processor gets the records of all partitions, in order of offset within a
// partition. A restart does not repeat records that it has processed, unless the topic is
// read again; see GlobalTable. The processor should therefore depend on the records and
// the store only, so that a repetition gives the same rows.
func GlobalStore[K, V, SK, SV any, P processor.Processor[K, V, struct{}, struct{}]](b *Builder, topic string, ks serde.Serde[K], vs serde.Serde[V], spec state.Spec[SK, SV], newP func() P, opts ...SourceOption) Global[SK, SV] {
	var o globalOptions
	for _, opt := range withoutNil(opts) {
		opt.applyGlobal(&o)
	}
	o.source.name = o.name
	g := b.addGlobal("globalStore", topic, o)
	if isNil(spec) {
		b.problem("globalStore of topic %q: the spec of the store is nil: pass a state.KeyValue", topic)
		return Global[SK, SV]{b: b, spec: state.KeyValue[SK, SV](topic, nil, nil)}
	}
	g.spec, g.read = spec, store.Reading(spec.KeySerde(), spec.ValueSerde())
	s := sources(g.part, []string{topic}, ks, vs, o.source)
	Process[K, V, struct{}, struct{}](s, spec.StoreName(), newP, nil, nil, spec)
	return Global[SK, SV]{b, spec, spec.KeySerde(), spec.ValueSerde()}
}

// global is a global store while the topology is being built.
type global struct {
	op, topic string
	spec      processor.StoreSpec
	read      store.OpenReader
	part      *Builder // has the nodes that fill the store
}

func (g *global) String() string { return fmt.Sprintf("%s of topic %q", g.op, g.topic) }

// addGlobal adds a global store. Its nodes are added to the part.
func (b *Builder) addGlobal(op, topic string, o globalOptions) *global {
	b.begin()
	g := &global{op: op, topic: topic, part: New()}
	if o.source.SourceOptions != (graph.SourceOptions{}) {
		b.problem("%v: a global store always has the whole topic: remove StartAtLatest, OutOfRangeEarliest and OutOfRangeLatest", g)
	}
	if o.table.everyUpdate || o.table.withoutChangelog {
		b.problem("%v: a global store has no children and no changelog: remove EveryUpdate and WithoutChangelog", g)
	}
	b.globals = append(b.globals, g)
	return g
}

// global returns the global store with a name, or nil.
func (b *Builder) global(store string) *global {
	for _, g := range b.globals {
		if g.spec != nil && g.spec.StoreName() == store {
			return g
		}
	}
	return nil
}

// buildGlobals returns the global stores, and what is wrong with them.
func (b *Builder) buildGlobals() (globals []*graph.Global, problems []error) {
	topics, names := make(map[string]*global), make(map[string]*global)
	for _, g := range b.globals {
		problems = append(problems, b.checkGlobal(g, topics, names)...)
		stores, wrong := g.part.prepare()
		problems = append(problems, wrong...)
		if len(wrong) > 0 || len(stores) != 1 {
			continue
		}
		kept := stores[0]
		if kept.Spec.Limited {
			problems = append(problems, fmt.Errorf("topology: %v: the rows that give way would differ between processes: remove MostRows", g))
		}
		if kept.Spec.Mortal {
			problems = append(problems, fmt.Errorf("topology: %v: stream time, and so the rows that expire, would differ between processes: remove TTL", g))
		}
		if kept.Spec.Migrations != nil {
			problems = append(problems, fmt.Errorf("topology: %v: a global store with another serde reads its topic again: remove Migrate and Migrated", g))
		}
		kept.Spec = kept.Spec.Unlogged()
		globals = append(globals, &graph.Global{
			Store: kept, Topic: graph.Topic{Name: g.topic}, Read: g.read, Graph: g.part.graph(stores),
		})
	}
	return globals, problems
}

// checkGlobal reports a global store whose topic or name is used a second time.
func (b *Builder) checkGlobal(g *global, topics, names map[string]*global) (problems []error) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("topology: "+format, args...))
	}
	if b.sources[g.topic] != nil {
		report("%v: another source reads the topic too: read it as a global store or as a stream, not as both", g)
	}
	if first := topics[g.topic]; first != nil {
		report("%v: a %s already reads the topic: use its handle again", g, first.op)
	}
	topics[g.topic] = g
	if g.spec == nil {
		return problems
	}
	name := g.spec.StoreName()
	if first := names[name]; first != nil && first.topic != g.topic {
		report("%v: the %v already has a store %q: give one of them another name", g, first, name)
	}
	names[name] = g
	return problems
}
