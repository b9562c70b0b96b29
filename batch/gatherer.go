package batch

import (
	"bytes"
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/state"
)

// gatherer is the processor that gathers the rows of results from all counting tasks, and
// gives the results of a batch in order of declaration. There is one in an application,
// in one task.
type gatherer struct {
	plan *plan
	spec state.Spec[[]byte, []byte]

	ctx     wire.Context
	rows    progress // rows by rowKey, and what the watermarks keep, by other prefixes
	marks   map[string]*watermarks
	points  map[string]bool
	closers closers
}

// gatherName names the gather topic, its store and its nodes.
const gatherName = "gather"

// marksPrefix sets the rows of watermarks apart: no row of a point begins with it, since
// no name is empty.
const marksPrefix = "\x00"

func (g *gatherer) Init(ctx wire.Context) error {
	g.ctx = ctx
	g.rows = state.Open(ctx, g.spec)
	g.marks, g.points = make(map[string]*watermarks), make(map[string]bool)
	g.closers = closers{chunk: g.plan.chunk, budget: g.plan.chunk}
	for _, e := range g.plan.everys {
		if !e.gathers() {
			continue
		}
		marks, err := openWatermarks(marksPrefix+e.name, g.rows)
		if err != nil {
			return err
		}
		g.marks[e.name] = marks
		one, err := openCloser(marks, g.steps(e))
		if err != nil {
			return err
		}
		g.closers.all = append(g.closers.all, one)
	}
	once(ctx, g.work)
	return nil
}

// steps are the outputs, and the removal of their rows.
func (g *gatherer) steps(e *every) (steps []step) {
	for _, o := range e.outputs {
		steps = append(steps, step{o.header().fullName(), true, o.run(g)})
	}
	for _, p := range e.points {
		if p.needed() {
			name := p.header().fullName()
			g.points[name] = true
			steps = append(steps, step{name + "/drop", true, g.drop(name)})
		}
	}
	return steps
}

// drop removes the rows of a point, of a batch and all before.
func (g *gatherer) drop(name string) func(wire.Span, []byte, *int) ([]byte, bool, error) {
	var dropped int64 // batches up to this end are not there any more; what was deleted takes time to be read over
	return func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
		limit := rowKey(name, b.To+1, nil)
		for e, err := range g.rows.From(rowKey(name, dropped+1, nil)) {
			if err != nil {
				return cursor, false, err
			}
			if bytes.Compare(e.Key, limit) >= 0 {
				break
			}
			if *budget <= 0 {
				return cursor, false, nil
			}
			*budget--
			if _, _, err := g.rows.Delete(e.Key); err != nil {
				return cursor, false, err
			}
		}
		dropped = b.To
		return nil, true, nil
	}
}

func (g *gatherer) Process(ctx wire.Context, r wire.Record) error {
	m := r.Value
	switch m.Kind {
	case wire.Row:
		if !g.points[m.Name] {
			ctx.Drop("the result is not there any more")
			return nil
		}
		return g.rows.Put(rowKey(m.Name, m.To, r.Key), m.Payload)
	case wire.Marker:
		marks := g.marks[m.Name]
		if marks == nil {
			ctx.Drop("the batches are not there any more")
			return nil
		}
		if err := marks.mark(m); err != nil {
			return err
		}
		return g.work(ctx)
	}
	return fmt.Errorf("batch: a message of kind %q, which does not belong here", m.Kind)
}

func (g *gatherer) work(ctx wire.Context) error {
	return g.closers.work(ctx, func(*closer, wire.Span, int64) {})
}

// Flush ends the share of a transaction.
func (g *gatherer) Flush(wire.Context) error {
	g.closers.committing()
	return nil
}
