package engine

import "iter"

// CellStore is implemented by the instances of key-value stores, for the tables of package topology.
type CellStore[K, V any] interface {
	Store
	Cells() *Cells[K, V]

	// KeepOld asks for Cells.Old; call it before the first write.
	KeepOld()
}

// WindowCellStore is implemented by the instances of window stores, for the windowed aggregations of package topology. Its cells hide nothing and
// reject nothing: lateness is the operator's business. Cell.Key is the key without the window.
//
// A window is deleted at a commit when its whole segment has start <= store time - retention and start < Keep. So an operator whose retention is
// at least window size + grace never loses a window that it still updates, whatever the kind of the store.
type WindowCellStore[K, V any] interface {
	CellStore[K, V]

	// AppendKey appends the key of the cell for an encoded key and a window start >= 0. (It is not the changelog key: rows are kept by segment.)
	AppendKey(dst, key []byte, start int64) []byte

	// Start returns the window start of a cell's key bytes.
	Start(cellKey []byte) int64

	// Observe moves the store's time forward to start. Call it for each window that is put: reads do not go beyond the store's time.
	Observe(start int64)

	// Keep says that windows with this start or a later one are still needed, whatever the retention: a result that is to be emitted when the window
	// closes. Call it in Init and whenever the bound moves. Without a call the retention alone counts.
	Keep(start int64)

	// Windows yields the rows with from <= start <= to, in order of segment, key and start.
	Windows(from, to int64, reverse bool) iter.Seq2[Row[K, V], error]
}
