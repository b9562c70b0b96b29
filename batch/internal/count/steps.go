package count

import (
	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// steps brings the windows up to date first. The scans after that change no store, so
// they may be interrupted. Panes that no window needs go last.
func (p *panes[K, A]) steps() (steps []closing.Step) {
	for _, w := range p.windows {
		steps = append(steps,
			closing.Step{Name: w.Name() + "/leave", Durable: true, Run: func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
				return p.leave(w, b, cursor, budget)
			}},
			closing.Step{Name: w.Name() + "/enter", Durable: true, Run: func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
				return p.enter(w, b, cursor, budget)
			}})
	}
	steps = p.scans(steps, p.name(), &p.Rows, p.pane)
	for _, w := range p.windows {
		steps = p.scans(steps, w.Name(), &w.Rows, w.totals)
	}
	return append(steps, closing.Step{Name: p.name() + "/drop", Durable: true, Run: p.drop})
}

// drop deletes the panes that no window needs any more.
func (p *panes[K, A]) drop(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	limit := b.To - p.longest
	next, done, err := p.walk(p.dropped, limit, cursor, budget, func(k paneKey, _ A) error {
		_, _, err := p.store.Delete(k)
		return err
	})
	if done {
		p.dropped = max(p.dropped, limit)
	}
	return next, done, err
}

// scans adds the steps that give the rows of a source to its consumers.
func (p *panes[K, A]) scans(steps []closing.Step, name string, s *rows.Source[K, A], read reader[A]) []closing.Step {
	if all := s.Instance(rows.Sending, p.ctx); all != nil {
		steps = append(steps, closing.Step{Name: name + "/send", Durable: true, Run: p.scan(read, all)})
	}
	if best := s.Instance(rows.Selecting, p.ctx); best != nil {
		steps = append(steps, closing.Step{Name: name + "/select", Run: p.scan(read, best)})
	}
	return steps
}
