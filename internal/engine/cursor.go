package engine

import "slices"

// cursor walks over a tree in both directions. If the tree has changed since the last
// step, the cursor finds its place again by key. Rows that were added or removed ahead of
// it are seen as they are now.
type cursor struct {
	t       *tree
	version uint64
	path    []step // from the root to a row of a leaf; empty: no row
	at      string // key of the row
}

type step struct {
	n *node
	i int
}

func (c *cursor) valid() bool { return len(c.path) > 0 }
func (c *cursor) key() string { return c.at }

func (c *cursor) value() any {
	s := c.path[len(c.path)-1]
	return s.n.values[s.i]
}

// seek goes to the first row with a key >= key.
func (c *cursor) seek(key string) {
	leaf := c.descend(key)
	if leaf == nil {
		return
	}
	leaf.i, _ = slices.BinarySearch(leaf.n.keys, key)
	if leaf.i == len(leaf.n.keys) {
		c.forward()
	}
	c.arrive()
}

// seekBefore goes to the last row with a key < key.
func (c *cursor) seekBefore(key string) {
	leaf := c.descend(key)
	if leaf == nil {
		return
	}
	leaf.i, _ = slices.BinarySearch(leaf.n.keys, key)
	leaf.i--
	if leaf.i < 0 {
		c.backward()
	}
	c.arrive()
}

// seekLast goes to the last row.
func (c *cursor) seekLast() {
	c.start()
	if c.t.root != nil {
		c.down(c.t.root, true)
	}
	c.arrive()
}

// next goes to the row after the current one.
func (c *cursor) next() {
	if c.version != c.t.version {
		at := c.at
		c.seek(at)
		if !c.valid() || c.at != at {
			return
		}
	}
	c.path[len(c.path)-1].i++
	if s := c.path[len(c.path)-1]; s.i == len(s.n.keys) {
		c.forward()
	}
	c.arrive()
}

// prev goes to the row before the current one.
func (c *cursor) prev() {
	if c.version != c.t.version {
		c.seekBefore(c.at)
		return
	}
	c.path[len(c.path)-1].i--
	if c.path[len(c.path)-1].i < 0 {
		c.backward()
	}
	c.arrive()
}

func (c *cursor) start() {
	c.path = c.path[:0]
	c.version = c.t.version
}

func (c *cursor) arrive() {
	if c.valid() {
		s := c.path[len(c.path)-1]
		c.at = s.n.keys[s.i]
	}
}

// descend goes to the leaf that covers key, and returns its step, or nil if the tree is
// empty.
func (c *cursor) descend(key string) *step {
	c.start()
	n := c.t.root
	if n == nil {
		return nil
	}
	for n.children != nil {
		i := n.child(key)
		c.path = append(c.path, step{n, i})
		n = n.children[i]
	}
	c.path = append(c.path, step{n, 0})
	return &c.path[len(c.path)-1]
}

// forward leaves the leaf for the first row of the next one. backward leaves it for the
// last row of the previous one.
func (c *cursor) forward() {
	for c.path = c.path[:len(c.path)-1]; len(c.path) > 0; c.path = c.path[:len(c.path)-1] {
		s := &c.path[len(c.path)-1]
		if s.i+1 < len(s.n.children) {
			s.i++
			c.down(s.n.children[s.i], false)
			return
		}
	}
}

func (c *cursor) backward() {
	for c.path = c.path[:len(c.path)-1]; len(c.path) > 0; c.path = c.path[:len(c.path)-1] {
		s := &c.path[len(c.path)-1]
		if s.i > 0 {
			s.i--
			c.down(s.n.children[s.i], true)
			return
		}
	}
}

// down goes to the first or the last row below n.
func (c *cursor) down(n *node, last bool) {
	for n.children != nil {
		i := 0
		if last {
			i = len(n.children) - 1
		}
		c.path = append(c.path, step{n, i})
		n = n.children[i]
	}
	i := 0
	if last {
		i = len(n.keys) - 1
	}
	c.path = append(c.path, step{n, i})
}
