package operator

import (
	"bytes"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// heldRows are the rows that a node holds back in a store of one task, with an index in
// memory of the order in which they are due. Keys and values are boxed, so that a program
// compiles them once, and not for each type.
type heldRows struct {
	cells *engine.Cells[any, Buffered]
	index *engine.TimeIndex
}

// heldStore is the part of a store's instance that heldRows need.
type heldStore interface {
	cellStore[any, Buffered]

	NewTimeIndex() *engine.TimeIndex
}

// openHeld returns the rows in the store of a node. The index is empty.
func openHeld(of base, store string) (heldRows, error) {
	s, err := storeOf[heldStore](of.task, store)
	if err != nil {
		return heldRows{}, err
	}
	h := heldRows{s.Cells(), s.NewTimeIndex()}
	of.task.OnClose(of.node, func() error { h.index.Close(); return nil })
	if !of.task.EveryUpdate() {
		h.cells.KeepOld() // many rows come and go between two commits
	}
	return h, nil
}

// each calls f for each row, by key. f may keep the key.
func (h *heldRows) each(f func(key []byte, row Buffered) error) error {
	for row, err := range h.cells.Range(nil, nil, false) {
		if err == nil {
			err = f(bytes.Clone(row.KeyBytes), row.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeKey returns the key of bytes. A panic of the serde is an error.
func decodeKey[K any](keys serde.Serde[K], data []byte) (key K, err error) {
	defer graph.Guard(&err)
	return keys.Decode(data)
}
