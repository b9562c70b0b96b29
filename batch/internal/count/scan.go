package count

import (
	"cmp"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// reader yields the rows of a batch after the cursor, until yield returns false.
type reader[A any] func(b wire.Span, cursor []byte, yield func(key []byte, value A) bool) error

// scan gives the rows of a batch to a consumer.
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
