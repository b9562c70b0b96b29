package windowstore

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
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

// AppendWindow appends the key of the cell of a window.
func (s *core[K, V]) AppendWindow(dst, key []byte, w serde.Window) []byte {
	return s.AppendKey(dst, key, w.Start)
}

// AppendStarts appends the starts of the windows of a key with from <= start <= to, in
// order.
func (s *core[K, V]) AppendStarts(dst []int64, key []byte, from, to int64) ([]int64, error) {
	for row, err := range s.rows(store.KeyRange{First: key, One: true}, from, to, false) {
		if err != nil {
			return dst, err
		}
		dst = append(dst, s.Start(row.KeyBytes))
	}
	return dst, nil
}
