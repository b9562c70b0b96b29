package batch

import (
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/count"
	"github.com/millrace-streams/millrace/batch/internal/gather"
	"github.com/millrace-streams/millrace/batch/internal/stamp"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/topology"
)

// plan is what this package keeps with a Builder until Build. Only Build knows all names,
// and which results have to be gathered.
type plan struct {
	b       *topology.Builder
	everys  []*every
	headers []*header // of everything that has a name, in order of declaration
	sinks   []sink    // of the gather task
	chunk   int       // see closing.Start
	built   bool
}

// add registers an Every.
func (p *plan) add(e *every) {
	p.everys = append(p.everys, e)
	p.checkOpen("Every", e.name)
}

// claim registers a declaration that has a name.
func (p *plan) claim(h *header) {
	p.headers = append(p.headers, h)
	p.checkOpen(h.op, h.name)
}

// checkOpen reports a declaration that comes after Build, which would be ignored.
func (p *plan) checkOpen(op, name string) {
	if p.built {
		p.b.Report(fmt.Errorf("batch: %s %s comes after Build: declare all batches of a builder before its first Build", op, name))
	}
}

// every is the plan of one Every.
type every struct {
	plan       *plan
	name       string
	interval   int64 // ms
	partitions []topology.RepartitionOption

	byRecordTime bool
	grace        int64 // ms

	mistake string // in the options
	broken  bool   // a problem was reported

	stamp      func() topology.Stream[[]byte, wire.Message] // adds the stamping node
	aggregates []count.Counted
	points     []gather.Gathered
	outputs    []gather.Output // in order of declaration
	sinks      []sink          // of the counting tasks
}

func (e *every) problem(format string, args ...any) {
	e.plan.b.Report(fmt.Errorf("batch: "+format, args...))
	e.broken = true
}

// cut returns how the stream is cut into batches.
func (e *every) cut() stamp.Config {
	return stamp.Config{Every: e.name, Interval: e.interval, ByRecordTime: e.byRecordTime, Grace: e.grace}
}

// gathers reports whether there is anything for the gather task.
func (e *every) gathers() bool { return len(e.outputs) > 0 }

// gatherChild is the node by which the counting tasks send to the gather task.
func (e *every) gatherChild() string { return e.name + "-" + gather.Name }

// addOutput adds an output of the gather task, and uses the points that it reads.
func (e *every) addOutput(o gather.Output, points []point) {
	for _, p := range points {
		p.Use()
		p.h.needSerde("value", p.noSerde, "to gather them")
	}
	e.outputs = append(e.outputs, o)
}

// point is a point where rows are gathered, as the declarations see it.
type point struct {
	gather.Gathered
	h       *header
	noSerde bool // the values have none
}

// sink is a topic that a processor writes to, through a node with the name of the header.
type sink struct {
	h     *header
	topic string
}

// header is the place and the name of a declaration.
type header struct {
	e      *every
	parent *header // nil for an aggregation, which has a given name
	op     string  // the function that was called
	suffix string  // of a derived name
	name   string  // given by the program; empty: the name is derived
}

// fullName returns the name. Until Build the name can still change, because Named may
// change this name or the name of a parent.
func (h *header) fullName() string {
	if h.name != "" || h.parent == nil {
		return h.name
	}
	return h.parent.fullName() + "-" + h.suffix
}

// needSerde reports a serde that is missing.
func (h *header) needSerde(of string, missing bool, why string) {
	if missing {
		h.e.problem("%s %q: needs a serde for the %ss, %s: pass it to the operator that gives the %ss their type", h.op, h.fullName(), of, why, of)
	}
}
