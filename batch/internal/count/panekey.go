package count

import (
	"encoding/binary"
	"errors"
)

// paneKey is the key of a row in the store of an aggregation. The pane is the batch, by
// its end. So a store is in order of panes, and a pane is in order of the bytes of keys.
type paneKey struct {
	pane int64
	key  []byte
}

// paneKeySerde encodes a paneKey as [8B pane, big-endian][key].
type paneKeySerde struct {
	keys string // format of the keys; encoding does not need it
}

var errPaneKey = errors.New("not the key of a batch's row")

func (paneKeySerde) Append(dst []byte, k paneKey) ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(dst, uint64(k.pane)), k.key...), nil
}

func (paneKeySerde) Decode(data []byte) (paneKey, error) {
	if len(data) < 8 {
		return paneKey{}, errPaneKey
	}
	return paneKey{pane: int64(binary.BigEndian.Uint64(data)), key: append([]byte{}, data[8:]...)}, nil
}

// String must stay as it is: the state directories of earlier versions have it.
func (paneKeySerde) String() string { return "pane key" }

// RowFormat is what the record of a store's rows says of the keys.
func (s paneKeySerde) RowFormat() string { return "pane key of " + s.keys }
