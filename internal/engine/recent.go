package engine

// Recent is a cache of facts about keys, beside their rows. It has two generations: when
// the young one is full, the old one is dropped. Its memory is counted in the budget.
//
// Only the task's goroutine may use it.
type Recent[V any] struct {
	budget     *Budget
	young, old map[string]*Known[V]
	bytes      [2]int64 // of young and old
}

// Known holds the facts about a key.
type Known[V any] struct {
	Value V
	bytes int64
}

const (
	leastKnown = 1024 // the smallest limit of a generation, in keys
	knownBytes = 96   // the memory of a key in a map, in addition to its bytes
)

// NewRecent returns an empty cache.
func NewRecent[V any](budget *Budget) *Recent[V] { return &Recent[V]{budget: budget} }

// Get returns the facts about a key, or nil if there are none. The result is valid until
// the next Get or Put.
func (r *Recent[V]) Get(key []byte) *Known[V] {
	if known := r.young[view(key)]; known != nil {
		return known
	}
	known := r.old[view(key)]
	if known == nil {
		return nil
	}
	// Move the key to the young generation: a key in use must not be dropped.
	delete(r.old, view(key))
	r.bytes[1] -= known.bytes
	r.bytes[0] += known.bytes
	r.add(key, known)
	return known
}

// Put adds the facts about a key that has none. room is the number of keys that a
// generation may hold.
func (r *Recent[V]) Put(key []byte, value V, room int) *Known[V] {
	if len(r.young) >= max(room, leastKnown) {
		r.turn()
	}
	known := &Known[V]{Value: value}
	r.Resize(known, int64(len(key)))
	r.add(key, known)
	return known
}

func (r *Recent[V]) add(key []byte, known *Known[V]) {
	if r.young == nil {
		r.young = map[string]*Known[V]{}
	}
	r.young[string(key)] = known
}

// Resize sets how many bytes a value takes in addition to its own type. The value must
// come from the last Get or Put.
func (r *Recent[V]) Resize(known *Known[V], bytes int64) {
	bytes += knownBytes
	if n := bytes - known.bytes; n != 0 {
		known.bytes = bytes
		r.bytes[0] += n
		r.budget.Cache(n)
	}
}

// turn makes the young generation the old one.
func (r *Recent[V]) turn() {
	r.budget.Cache(-r.bytes[1])
	r.old, r.young = r.young, nil
	r.bytes = [2]int64{0, r.bytes[0]}
}

// Forget drops the facts about a key.
func (r *Recent[V]) Forget(key []byte) {
	if known := r.Get(key); known != nil {
		delete(r.young, view(key))
		r.bytes[0] -= known.bytes
		r.budget.Cache(-known.bytes)
	}
}

// Close returns the memory to the budget.
func (r *Recent[V]) Close() {
	r.turn()
	r.turn()
}
