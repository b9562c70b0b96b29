package engine

import "slices"

const (
	maxLeaf  = 64
	maxInner = 64
)

// tree is a sorted map from string keys, in order of unsigned bytes: a B+ tree whose
// nodes are copied on write where a frozen view still refers to them. One goroutine may
// change it; frozen views may be read by others.
//
// The values are of any type: the rows of an in-memory table, or a store's cells. A tree
// with a type parameter would be compiled again in each program: see "The graph and the
// task" in DESIGN.md.
//
// A node disappears only when it is empty: merging half-full neighbours would buy little
// for data that mostly grows or goes by whole ranges.
type tree struct {
	root    *node // nil when empty
	length  int
	gen     uint64 // nodes of this generation belong to no frozen view
	version uint64 // counts changes, for cursors
}

// node is a leaf if children is nil. In an inner node keys[i] is above every key of
// children[i], and not above any of children[i+1].
type node struct {
	gen      uint64
	keys     []string
	values   []any
	children []*node
}

// freeze returns a view of the tree as it is now. The view must not be changed.
func (t *tree) freeze() *tree {
	view := &tree{root: t.root, length: t.length}
	t.gen++
	return view
}

func (t *tree) get(key string) (v any, ok bool) {
	n := t.root
	if n == nil {
		return v, false
	}
	for n.children != nil {
		n = n.children[n.child(key)]
	}
	i, found := slices.BinarySearch(n.keys, key)
	if !found {
		return v, false
	}
	return n.values[i], true
}

// child returns the index of the child that covers key.
func (n *node) child(key string) int {
	i, found := slices.BinarySearch(n.keys, key)
	if found {
		i++
	}
	return i
}

// set stores v and returns what was there before.
func (t *tree) set(key string, v any) (old any, replaced bool) {
	t.version++
	if t.root == nil {
		t.root = &node{gen: t.gen}
	}
	t.root = t.own(t.root)
	old, replaced = t.insert(t.root, key, v)
	if !replaced {
		t.length++
	}
	if t.root.full() {
		left := t.root
		right, sep := left.split()
		t.root = &node{gen: t.gen, keys: []string{sep}, children: []*node{left, right}}
	}
	return old, replaced
}

// own returns n, or a copy of it if a frozen view may refer to it.
func (t *tree) own(n *node) *node {
	if n.gen == t.gen {
		return n
	}
	return &node{
		gen:      t.gen,
		keys:     slices.Clone(n.keys),
		values:   slices.Clone(n.values),
		children: slices.Clone(n.children),
	}
}

// insert stores v below n, which is owned. n may be full afterwards: the caller splits
// it.
func (t *tree) insert(n *node, key string, v any) (old any, replaced bool) {
	if n.children == nil {
		i, found := slices.BinarySearch(n.keys, key)
		if found {
			old, n.values[i] = n.values[i], v
			return old, true
		}
		n.keys = slices.Insert(n.keys, i, key)
		n.values = slices.Insert(n.values, i, v)
		return old, false
	}
	i := n.child(key)
	c := t.own(n.children[i])
	n.children[i] = c
	old, replaced = t.insert(c, key, v)
	if c.full() {
		right, sep := c.split()
		n.keys = slices.Insert(n.keys, i, sep)
		n.children = slices.Insert(n.children, i+1, right)
	}
	return old, replaced
}

func (n *node) full() bool {
	if n.children == nil {
		return len(n.keys) > maxLeaf
	}
	return len(n.children) > maxInner
}

// split moves the upper half of n into a new node; sep separates the two.
func (n *node) split() (right *node, sep string) {
	if n.children == nil {
		half := len(n.keys) / 2
		right = &node{gen: n.gen, keys: slices.Clone(n.keys[half:]), values: slices.Clone(n.values[half:])}
		n.keys = cut(n.keys, half)
		n.values = cut(n.values, half)
		return right, right.keys[0]
	}
	half := len(n.children) / 2
	sep = n.keys[half-1]
	right = &node{gen: n.gen, keys: slices.Clone(n.keys[half:]), children: slices.Clone(n.children[half:])}
	n.keys = cut(n.keys, half-1)
	n.children = cut(n.children, half)
	return right, sep
}

// cut shortens s to n elements and clears the others, so that they do not keep memory
// alive.
func cut[T any](s []T, n int) []T {
	clear(s[n:])
	return s[:n]
}

// delete removes a key and returns what was there.
func (t *tree) delete(key string) (old any, found bool) {
	if old, found = t.get(key); !found {
		return old, false
	}
	t.version++
	t.length--
	t.root = t.remove(t.own(t.root), key)
	t.shrink()
	return old, true
}

// remove deletes a key that is below n, which is owned, and returns nil if nothing is
// left.
func (t *tree) remove(n *node, key string) *node {
	if n.children == nil {
		i, _ := slices.BinarySearch(n.keys, key)
		n.keys = slices.Delete(n.keys, i, i+1)
		n.values = slices.Delete(n.values, i, i+1)
		if len(n.keys) == 0 {
			return nil
		}
		return n
	}
	i := n.child(key)
	c := t.remove(t.own(n.children[i]), key)
	if c != nil {
		n.children[i] = c
		return n
	}
	return n.without(i, i+1)
}

// without removes the children from..to-1, and returns nil if none is left.
func (n *node) without(from, to int) *node {
	if from == to {
		return n
	}
	if to-from == len(n.children) {
		return nil
	}
	n.children = slices.Delete(n.children, from, to)
	if from == 0 {
		n.keys = slices.Delete(n.keys, 0, to)
	} else {
		n.keys = slices.Delete(n.keys, from-1, to-1)
	}
	return n
}

// shrink drops roots that have one child only.
func (t *tree) shrink() {
	for t.root != nil && t.root.children != nil && len(t.root.children) == 1 {
		t.root = t.root.children[0]
	}
}

// deleteRange removes lower <= key < upper (bounded = false: no upper bound) and tells
// drop each row that goes.
func (t *tree) deleteRange(lower, upper string, bounded bool, drop func(key string, v any)) {
	if t.root == nil || bounded && upper <= lower {
		return
	}
	t.version++
	t.root = t.removeRange(t.root, lower, upper, bounded, func(key string, v any) {
		t.length--
		drop(key, v)
	})
	t.shrink()
}

func (t *tree) removeRange(n *node, lower, upper string, bounded bool, drop func(string, any)) *node {
	n = t.own(n)
	if n.children == nil {
		return n.dropRows(lower, upper, bounded, drop)
	}
	first, last := n.child(lower), len(n.children)-1
	if bounded {
		last = n.child(upper)
	}
	empty := func(i int) bool {
		n.children[i] = t.removeRange(n.children[i], lower, upper, bounded, drop)
		return n.children[i] == nil
	}
	// Children strictly between first and last go whole, without being copied.
	from, to := first+1, max(first+1, last)
	for i := from; i < to; i++ {
		n.children[i].each(drop)
	}
	if last > first && empty(last) {
		to = last + 1
	}
	if empty(first) {
		from = first
	}
	if from >= to {
		return n
	}
	return n.without(from, to)
}

func (n *node) dropRows(lower, upper string, bounded bool, drop func(string, any)) *node {
	i, _ := slices.BinarySearch(n.keys, lower)
	j := len(n.keys)
	if bounded {
		j, _ = slices.BinarySearch(n.keys, upper)
	}
	for k := i; k < j; k++ {
		drop(n.keys[k], n.values[k])
	}
	n.keys = slices.Delete(n.keys, i, j)
	n.values = slices.Delete(n.values, i, j)
	if len(n.keys) == 0 {
		return nil
	}
	return n
}

// each calls f for every row below n, in order.
func (n *node) each(f func(string, any)) {
	for _, c := range n.children {
		c.each(f)
	}
	for i, v := range n.values {
		f(n.keys[i], v)
	}
}
