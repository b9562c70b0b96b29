package engine

// The first chunk of a slab has minSlab bytes. Each further one is twice as large, up to
// maxSlab: a store with few rows takes little memory.
const (
	minSlab = 1 << 10
	maxSlab = 64 << 10
)

// slab cuts pieces from large chunks, for bytes that must never change afterwards. A
// chunk is never reused: it is garbage when nobody holds a piece of it.
type slab struct {
	free []byte
	size int // of the last chunk
}

// piece returns the free rest of the chunk as an empty slice to append to. It has room
// for at least n bytes.
func (s *slab) piece(n int) []byte {
	if cap(s.free)-len(s.free) < n {
		s.size = min(max(2*s.size, minSlab), maxSlab)
		s.free = make([]byte, 0, max(s.size, n))
	}
	return s.free[len(s.free):]
}

// keep takes p, which was grown from a piece, out of the slab. The result has no spare
// capacity.
func (s *slab) keep(p []byte) []byte {
	if free := s.free[len(s.free):cap(s.free)]; len(p) > 0 && len(free) >= len(p) && &free[:1][0] == &p[:1][0] {
		s.free = s.free[:len(s.free)+len(p)]
	}
	return p[:len(p):len(p)]
}
