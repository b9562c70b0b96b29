package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// bulk collects changes of rows, and adds them to a batch in the order of their keys. If
// a key is changed several times, only the last change is added.
//
// Pebble sorts a large batch, before it writes it as a table, by looking up both keys in
// the batch for each comparison. Rows that are in order already cost it one comparison
// each. Sorting is cheaper here, because the keys are mostly told apart by eight bytes
// that stand beside the reference to the row.
type bulk struct {
	chunks [][]byte
	rows   []bulkRow
	size   int // of the rows, in bytes
}

// bulkRow is the place of a row in chunks. The row is [4B length of the key][4B length of
// the value, or noValue][key][value], in the machine's order of bytes.
type bulkRow struct {
	start  uint64 // of the key, behind what all keys have in common
	chunk  uint32
	offset uint32
}

const (
	bulkHeader = 8
	bulkChunk  = 256 << 10
	noValue    = 1<<32 - 1
)

// set adds a row, and returns the place for its value.
func (u *bulk) set(prefix, key []byte, size int) []byte {
	return u.add(prefix, key, size, uint32(size))
}

// delete adds the deletion of a row.
func (u *bulk) delete(prefix, key []byte) { u.add(prefix, key, 0, noValue) }

func (u *bulk) add(prefix, key []byte, size int, length uint32) (value []byte) {
	total := bulkHeader + len(prefix) + len(key) + size
	last := len(u.chunks) - 1
	if last < 0 || cap(u.chunks[last])-len(u.chunks[last]) < total {
		u.chunks = append(u.chunks, make([]byte, 0, max(bulkChunk, total)))
		last++
	}
	chunk := u.chunks[last]
	u.rows = append(u.rows, bulkRow{chunk: uint32(last), offset: uint32(len(chunk))})
	chunk = binary.NativeEndian.AppendUint32(chunk, uint32(len(prefix)+len(key)))
	chunk = binary.NativeEndian.AppendUint32(chunk, length)
	chunk = append(append(chunk, prefix...), key...)
	u.size += total
	end := len(chunk) + size
	u.chunks[last] = chunk[:end]
	return chunk[len(chunk):end:end]
}

// row returns the key of a row, and its value; nil for a deletion.
func (u *bulk) row(r bulkRow) (key, value []byte) {
	row := u.chunks[r.chunk][r.offset:]
	keyEnd := bulkHeader + binary.NativeEndian.Uint32(row)
	key = row[bulkHeader:keyEnd]
	if length := binary.NativeEndian.Uint32(row[4:]); length != noValue {
		value = row[keyEnd : keyEnd+length : keyEnd+length]
	}
	return key, value
}

// addTo adds the rows to b, and forgets them.
func (u *bulk) addTo(b *pebble.Batch) error {
	u.sort()
	for i, r := range u.rows {
		key, value := u.row(r)
		if i+1 < len(u.rows) {
			if next, _ := u.row(u.rows[i+1]); bytes.Equal(key, next) {
				continue
			}
		}
		var err error
		if value == nil {
			err = b.Delete(key, nil)
		} else {
			err = b.Set(key, value, nil)
		}
		if err != nil {
			return err
		}
	}
	*u = bulk{}
	return nil
}

// sort sorts the rows by their keys, and those of one key in the order in which they were
// added.
func (u *bulk) sort() {
	common := u.common()
	for i := range u.rows {
		key, _ := u.row(u.rows[i])
		var start [8]byte
		copy(start[:], key[common:])
		u.rows[i].start = binary.BigEndian.Uint64(start[:])
	}
	slices.SortFunc(u.rows, func(a, b bulkRow) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		one, _ := u.row(a)
		other, _ := u.row(b)
		return cmp.Or(bytes.Compare(one[common:], other[common:]), cmp.Compare(a.chunk, b.chunk), cmp.Compare(a.offset, b.offset))
	})
}

// common returns how many bytes at the start of all keys are the same. There must be a
// row.
func (u *bulk) common() int {
	first, _ := u.row(u.rows[0])
	for _, r := range u.rows[1:] {
		key, _ := u.row(r)
		n := min(len(first), len(key))
		same := 0
		for same < n && first[same] == key[same] {
			same++
		}
		first = first[:same]
	}
	return len(first)
}
