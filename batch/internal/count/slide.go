package count

import (
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// leave takes the panes out of the totals that are not in the window any more.
func (p *panes[K, A]) leave(w *windowing[K, A], b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	next, done, err := p.walk(w.left, min(b.To-w.Size, w.entered), cursor, budget, func(k paneKey, v A) error {
		t, ok, err := w.store.Get(k.key)
		if err != nil || !ok {
			return err
		}
		if t.count--; t.count <= 0 {
			_, _, err = w.store.Delete(k.key)
			return err
		}
		if p.Inverse != nil {
			t.value = p.Inverse(t.value, v)
			return w.store.Put(k.key, t)
		}
		if t, err = p.without(t, k); err != nil {
			return err
		}
		return w.store.Put(k.key, t)
	})
	if done {
		w.left = max(w.left, b.To-w.Size)
		err = w.save()
	}
	return next, done, err
}

// without merges all panes of a key again, except one.
func (p *panes[K, A]) without(t total[A], k paneKey) (total[A], error) {
	rest := total[A]{count: t.count}
	for _, pane := range t.panes {
		if pane == k.pane {
			continue
		}
		v, ok, err := p.store.Get(paneKey{pane, k.key})
		if err == nil && !ok {
			err = fmt.Errorf("store %s: pane %d of a key in window %v is missing", p.store.Name(), pane, t.panes)
		}
		if err != nil {
			return t, err
		}
		if len(rest.panes) > 0 {
			rest.value = p.Merge(rest.value, v)
		} else if rest.value, err = p.clone(v); err != nil {
			return t, err
		}
		rest.panes = append(rest.panes, pane)
	}
	return rest, nil
}

// enter adds the panes to the totals that are in the window now.
func (p *panes[K, A]) enter(w *windowing[K, A], b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
	next, done, err := p.walk(max(w.entered, b.To-w.Size), b.To, cursor, budget, func(k paneKey, v A) error {
		t, ok, err := w.store.Get(k.key)
		if err != nil {
			return err
		}
		if !ok {
			t.value, err = p.clone(v)
		} else {
			t.value = p.Merge(t.value, v)
		}
		if err != nil {
			return err
		}
		t.count++
		if p.Inverse == nil {
			t.panes = append(slices.Clip(t.panes), k.pane)
		}
		return w.store.Put(k.key, t)
	})
	if done {
		w.entered = b.To
		err = w.save()
	}
	return next, done, err
}
