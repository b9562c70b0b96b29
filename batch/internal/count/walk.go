package count

import (
	"bytes"
	"cmp"

	"github.com/millrace-streams/millrace/batch/internal/closing"
)

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
