package windowstore

import (
	"github.com/millrace-streams/millrace/internal/store"
)

// These methods are how windowed operators use the store. They work on its cells, which
// hide no expired row and refuse no late one: the operator decides what is late.

// AppendKey appends the key of a cell.
func (s *core[K, V]) AppendKey(dst, key []byte, start int64) []byte {
	return s.layout.AppendKey(dst, key, start, 0)
}

// Start returns the window start of a cell's key.
func (s *core[K, V]) Start(cellKey []byte) int64 {
	_, start, _, _ := store.SplitLocal(cellKey)
	return start
}
