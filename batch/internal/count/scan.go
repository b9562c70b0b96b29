package count

import (
	"bytes"
	"cmp"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// reader yields the rows of a batch after the cursor, until yield returns false.
type reader[A any] func(b wire.Span, cursor []byte, yield func(key []byte, value A) bool) error

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

func (p *panes[K, A]) scan(read reader[A], to *rows.Consumer[K, A]) closing.Run {
	row := new(rows.Lazy[K, A]) // used again for each row
	give := func(b wire.Span, key []byte, value A) error {
		*row = rows.NewLazy(key, p.Keys, value)
		return closing.Safely(func() error { return to.Row(b, row) })
	}
	return func(b wire.Span, cursor []byte, budget *int) (_ []byte, done bool, err error) {
		if cursor == nil {
			to.Begin()
		}
		paused := false
		failure := read(b, cursor, func(key []byte, value A) bool {
			if paused = *budget <= 0; paused {
				return false
			}
			*budget--
			cursor = key
			err = give(b, key, value)
			return err == nil
		})
		if failure != nil || err != nil || paused {
			return cursor, false, cmp.Or(failure, err)
		}
		if cursor == nil && p.Always != nil && p.owns(p.Always) {
			var none A
			if err := give(b, p.Always, none); err != nil {
				return p.Always, false, err
			}
		}
		return nil, true, to.End(b)
	}
}

// owns reports whether a key belongs to this task.
func (p *panes[K, A]) owns(key []byte) bool {
	task := p.ctx.Task()
	return serde.Partition(key, task.Partitions) == task.Partition
}

// pane yields the rows of the batch alone.
func (p *panes[K, A]) pane(b wire.Span, cursor []byte, yield func([]byte, A) bool) error {
	start := paneKey{b.To, cursor}
	return p.between(start, cursor != nil, b.To, func(k paneKey, v A) bool { return yield(k.key, v) })
}

// between yields the rows from a key on, or after it, up to the end of a pane.
func (p *panes[K, A]) between(k paneKey, after bool, to int64, yield func(paneKey, A) bool) error {
	for e, err := range p.store.From(k) {
		if err != nil {
			return err
		}
		if e.Key.pane > to {
			return nil
		}
		if after && e.Key.pane == k.pane && bytes.Equal(e.Key.key, k.key) {
			continue
		}
		if !yield(e.Key, e.Value) {
			return nil
		}
	}
	return nil
}

// walk calls f for the rows of the panes that end after `after`, up to those that end at
// `to`. The cursor is an encoded paneKey.
func (p *panes[K, A]) walk(after, to int64, cursor []byte, budget *int, f func(k paneKey, v A) error) (next []byte, done bool, err error) {
	start := paneKey{pane: after + 1}
	if cursor != nil {
		if start, err = (paneKeySerde{}).Decode(cursor); err != nil {
			return nil, true, err
		}
	}
	paused := false
	failure := p.between(start, cursor != nil, to, func(k paneKey, v A) bool {
		if paused = *budget <= 0; paused {
			return false
		}
		*budget--
		cursor, _ = paneKeySerde{}.Append(nil, k)
		err = closing.Safely(func() error { return f(k, v) })
		return err == nil
	})
	return cursor, failure == nil && err == nil && !paused, cmp.Or(failure, err)
}
