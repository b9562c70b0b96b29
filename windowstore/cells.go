package windowstore

import (
	"github.com/millrace-streams/millrace/internal/store"
)

// Windowed operators use these methods. They read and write expired rows too, because the
// operator decides which records are late.

// AppendKey appends the key of a cell.
func (s *core[K, V]) AppendKey(dst, key []byte, start int64) []byte {
	return s.layout.AppendKey(dst, key, start, 0)
}

// Start returns the window start of a cell's key.
func (s *core[K, V]) Start(cellKey []byte) int64 {
	_, start, _, _ := store.SplitLocal(cellKey)
	return start
}
