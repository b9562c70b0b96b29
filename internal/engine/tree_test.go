package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// checkTree compares the tree with a map, in every way of reading it.
func checkTree(t *testing.T, tr *tree, want map[string]int, r *rand.Rand) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(want))
	if tr.length != len(want) {
		t.Fatalf("length %d, want %d", tr.length, len(want))
	}
	var forward, backward []string
	c := cursor{t: tr}
	for c.seek(""); c.valid(); c.next() {
		forward = append(forward, c.key())
		if c.value() != want[c.key()] {
			t.Fatalf("value of %q is %d, want %d", c.key(), c.value(), want[c.key()])
		}
	}
	for c.seekLast(); c.valid(); c.prev() {
		backward = append(backward, c.key())
	}
	slices.Reverse(backward)
	if !slices.Equal(forward, keys) || !slices.Equal(backward, keys) {
		t.Fatalf("forward %q, backward %q, want %q", forward, backward, keys)
	}
	for range 5 {
		key := randomKey(r)
		i, found := slices.BinarySearch(keys, key)
		if v, ok := tr.get(key); ok != found || ok && v != want[key] {
			t.Fatalf("get %q: %d %v", key, v, ok)
		}
		if c.seek(key); c.valid() != (i < len(keys)) || c.valid() && c.key() != keys[i] {
			t.Fatalf("seek %q", key)
		}
		if c.seekBefore(key); c.valid() != (i > 0) || c.valid() && c.key() != keys[i-1] {
			t.Fatalf("seekBefore %q", key)
		}
	}
}

func randomKey(r *rand.Rand) string { return fmt.Sprintf("%x", r.IntN(4000)) }

func TestTreeEqualsMap(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		tr, model := &tree{}, map[string]int{}
		type view struct {
			tree  *tree
			model map[string]int
		}
		var views []view
		for i := range 3000 {
			switch n := r.IntN(200); {
			case n < 120+int(seed)*2:
				key := randomKey(r)
				tr.set(key, i)
				model[key] = i
			case n < 197:
				key := randomKey(r)
				_, found := tr.delete(key)
				if _, want := model[key]; found != want {
					t.Fatalf("delete %q: %v", key, found)
				}
				delete(model, key)
			case n < 199:
				views = append(views, view{tr.freeze(), maps.Clone(model)})
			default:
				lower, upper, bounded := randomKey(r), randomKey(r), r.IntN(8) > 0
				if r.IntN(2) == 0 {
					lower = fmt.Sprintf("%x", r.IntN(250))
					upper, bounded = lower+"g", true
				}
				dropped := 0
				tr.deleteRange(lower, upper, bounded, func(string, any) { dropped++ })
				before := len(model)
				maps.DeleteFunc(model, func(k string, _ int) bool { return k >= lower && (!bounded || k < upper) })
				if dropped != before-len(model) {
					t.Fatalf("deleteRange dropped %d, want %d", dropped, before-len(model))
				}
			}
			if i%100 == 0 {
				checkTree(t, tr, model, r)
			}
		}
		for _, v := range views {
			checkTree(t, v.tree, v.model, r)
		}
	})
}

// A cursor over a changing tree sees later rows in their new state.
func TestCursorWhileTreeChanges(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 6, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		tr, model := &tree{}, map[string]int{}
		for range 400 {
			k := randomKey(r)
			tr.set(k, 0)
			model[k] = 0
		}
		forward := seed%2 == 0
		c := cursor{t: tr}
		if forward {
			c.seek("")
		} else {
			c.seekLast()
		}
		for c.valid() {
			at := c.key()
			for range r.IntN(4) {
				k := randomKey(r)
				if r.IntN(2) == 0 {
					tr.set(k, 1)
					model[k] = 1
				} else {
					tr.delete(k)
					delete(model, k)
				}
			}
			keys := slices.Sorted(maps.Keys(model))
			i, found := slices.BinarySearch(keys, at)
			if forward {
				if found {
					i++
				}
				c.next()
				if c.valid() != (i < len(keys)) || c.valid() && c.key() != keys[i] {
					t.Fatalf("next after %q", at)
				}
			} else {
				c.prev()
				if c.valid() != (i > 0) || c.valid() && c.key() != keys[i-1] {
					t.Fatalf("prev before %q", at)
				}
			}
		}
	})
}

func BenchmarkTree(b *testing.B) {
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%08d", i*7919%100_000)
	}
	b.Run("set", func(b *testing.B) {
		tr := &tree{}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tr.set(keys[i%len(keys)], i)
		}
	})
	b.Run("get", func(b *testing.B) {
		tr := &tree{}
		for _, k := range keys {
			tr.set(k, 1)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tr.get(keys[i%len(keys)])
		}
	})
}
