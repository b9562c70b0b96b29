package windowstore

import (
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
)

// The methods by which windowed operators use the store: engine.WindowCellStore.

// AppendKey appends the key of a cell.
func (s *core[K, V]) AppendKey(dst, key []byte, start int64) []byte {
	return s.layout.AppendKey(dst, key, start, 0)
}

// Start returns the window start of a cell's key.
func (s *core[K, V]) Start(cellKey []byte) int64 {
	_, start, _, _ := engine.SplitLocal(cellKey)
	return start
}

// Observe moves the store's time forward.
func (s *core[K, V]) Observe(start int64) { *s.time = max(*s.time, start) }

// Keep says from which start on windows are still needed.
func (s *core[K, V]) Keep(start int64) { s.keep = start }

// Windows yields all rows of a time range that have not been deleted, expired or not.
func (s *core[K, V]) Windows(from, to int64, reverse bool) iter.Seq2[engine.Row[K, V], error] {
	return s.rows(keyRange{}, from, to, reverse)
}
