package batch

import (
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// plan is what this package keeps with a Builder until Build: only then the names are
// known, and what is gathered.
type plan struct {
	b       *topology.Builder
	everys  []*every
	headers []*header // all that have names, in order of declaration
	sinks   []toSink  // of the gather task
	chunk   int       // rows that a task reads or writes for closed batches in one transaction
	built   bool
}

type planKey struct{}

// planOf returns the plan of a builder.
func planOf(b *topology.Builder) *plan {
	if p, ok := b.Value(planKey{}).(*plan); ok {
		return p
	}
	p := &plan{b: b, chunk: closing.DefaultChunk}
	b.SetValue(planKey{}, p)
	b.OnBuild(p.build)
	return p
}

func (p *plan) add(e *every) {
	p.everys = append(p.everys, e)
	p.open("Every", e.name)
}

// claim registers something that has a name.
func (p *plan) claim(h *header) {
	p.headers = append(p.headers, h)
	p.open(h.op, h.name)
}

// open reports what comes after Build, where it would be ignored.
func (p *plan) open(op, name string) {
	if p.built {
		p.b.Report(fmt.Errorf("batch: %s %s comes after Build: all of a builder's batches must be there at its first Build", op, name))
	}
}

// header is what everything that hangs on an Every has: its place, and its name.
type header struct {
	e      *every
	parent *header // nil: an aggregation, which has a name
	op     string  // what the user called
	suffix string
	name   string // given by the user; empty: derived
}

func (h *header) fullName() string {
	if h.name != "" || h.parent == nil {
		return h.name
	}
	return h.parent.fullName() + "-" + h.suffix
}

// maxName leaves room for what is appended to names.
const maxName = 220

// checkNames reports names that are used twice.
func (p *plan) checkNames() {
	taken := p.checkEverys()
	for _, h := range p.headers {
		name := h.fullName()
		switch by := taken[name]; {
		case name == "":
			h.e.problem("%s on %q: needs a name, which names what it keeps", h.op, h.e.name)
		case len(name) > maxName:
			h.e.problem("%s %q: the name is longer than %d characters", h.op, name, maxName)
		case by == nil:
			taken[name] = h
		case h.parent == nil && by.parent == nil:
			h.e.problem("the name %q is used by %s and by %s: give one of them another name", name, by.op, h.op)
		default:
			h.e.problem("the name %q is used by %s and by %s: give one of them another name with .Named(...)", name, by.op, h.op)
		}
	}
}

// checkEverys reports names of Every that are missing or used twice, and returns those
// that are taken.
func (p *plan) checkEverys() map[string]*header {
	taken := make(map[string]*header)
	for _, e := range p.everys {
		switch {
		case e.name == "":
			e.problem("Every: needs a name, which names its topic and its store")
		case taken[e.name] != nil:
			e.problem("the name %q is used by Every and by Every: give one of them another name, or use what the first one returned twice", e.name)
		default:
			taken[e.name] = &header{e: e, op: "Every", name: e.name}
		}
	}
	return taken
}

// build adds the nodes, and reports what is wrong with names.
func (p *plan) build() error {
	p.checkNames()
	p.built = true
	var toGather []topology.Stream[[]byte, wire.Message]
	for _, e := range p.everys {
		if e.broken || len(e.aggregates) == 0 {
			continue
		}
		counted := e.build()
		if e.gathers() {
			all := func(wire.Record) (bool, error) { return true, nil }
			toGather = append(toGather, counted.FilterRecord(all, topology.Named(e.gatherName())))
		}
	}
	if len(toGather) > 0 {
		p.buildGather(toGather)
	}
	return nil
}

// build adds the nodes from the stamping to the counting processor, and returns what that
// forwards.
func (e *every) build() topology.Stream[[]byte, wire.Message] {
	options := append(e.partitions, topology.Partitioner(wire.Route))
	parts := topology.Repartition(e.stamp(), e.name, options...)
	progress := state.KeyValue(e.name, serde.Bytes, serde.Bytes)
	specs := []processor.StoreSpec{progress}
	for _, a := range e.aggregates {
		specs = append(specs, a.settle()...)
	}
	newCounter := func() *counter { return &counter{e: e, progress: progress} }
	counted := topology.Process(parts, e.name+"-count", newCounter, serde.Bytes, wire.Messages, specs...)
	for _, s := range e.sinks {
		s.attach(counted)
	}
	return counted
}

// buildGather adds the nodes of the gather task.
func (p *plan) buildGather(from []topology.Stream[[]byte, wire.Message]) {
	all := from[0]
	if len(from) > 1 {
		all = all.Merge(from[1:]...)
	}
	parts := topology.Repartition(all, gatherName, topology.Partitions(1))
	spec := state.KeyValue(gatherName, serde.Bytes, serde.Bytes)
	newGatherer := func() *gatherer { return &gatherer{plan: p, spec: spec} }
	gathered := topology.Process(parts, gatherName+"-results", newGatherer, serde.Bytes, wire.Messages, spec)
	for _, s := range p.sinks {
		s.attach(gathered)
	}
}
