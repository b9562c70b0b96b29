package batch

import (
	"bytes"
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/closing"
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
	rows    closing.Progress // rows by rowKey, and what the watermarks keep, by other prefixes
	marks   map[string]*closing.Watermarks
	points  map[string]bool
	closers *closing.Closers
}

// gatherName names the gather topic, its store and its nodes.
const gatherName = "gather"

// marksPrefix sets the rows of watermarks apart: no row of a point begins with it, since
// no name is empty.
const marksPrefix = "\x00"

func (g *gatherer) Init(ctx wire.Context) error {
	g.ctx = ctx
	g.rows = state.Open(ctx, g.spec)
	g.marks, g.points = make(map[string]*closing.Watermarks), make(map[string]bool)
	var closers []*closing.Closer
	for _, e := range g.plan.everys {
		if !e.gathers() {
			continue
		}
		marks, err := closing.Open(marksPrefix+e.name, e.name, g.rows)
		if err != nil {
			return err
		}
		g.marks[e.name] = marks
		one, err := closing.NewCloser(marks, g.steps(e))
		if err != nil {
			return err
		}
		closers = append(closers, one)
	}
	g.closers = closing.Start(ctx, g.plan.chunk, nil, closers...)
	return nil
}

// steps are the outputs, and the removal of their rows.
func (g *gatherer) steps(e *every) (steps []closing.Step) {
	for _, o := range e.outputs {
		steps = append(steps, closing.Step{Name: o.header().fullName(), Durable: true, Run: o.run(g)})
	}
	for _, p := range e.points {
		if p.needed() {
			name := p.header().fullName()
			g.points[name] = true
			steps = append(steps, closing.Step{Name: name + "/drop", Durable: true, Run: g.drop(name)})
		}
	}
	return steps
}

// drop removes the rows of a point, of a batch and all before.
func (g *gatherer) drop(name string) closing.Run {
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
		if err := marks.Mark(m); err != nil {
			return err
		}
		return g.closers.Work(ctx)
	}
	return fmt.Errorf("batch: a message of kind %q, which does not belong here", m.Kind)
}

// Flush ends the share of a transaction.
func (g *gatherer) Flush(wire.Context) error {
	g.closers.Committing()
	return nil
}
