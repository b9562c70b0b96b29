package engine

import (
	"hash/maphash"
	"math/bits"
)

// keySet is a set of keys. For a key that it has, it always answers yes. For a key that
// it does not have, it answers no, or wrongly yes in about one of a hundred cases.
//
// It is a list of split block Bloom filters, as in the Parquet format. A key sets one bit
// in each of the eight words of one block, so a query costs one cache line per filter.
// Each filter is larger than the previous one, so the set can grow without knowing its
// keys.
type keySet struct {
	filters []blockFilter // in ascending size
}

type blockFilter struct {
	blocks []block
	free   int // the number of keys for which there is room
}

type block [8]uint32

const (
	blockBytes  = 32
	bitsPerKey  = 14
	firstFilter = 512 // keys
	growth      = 4
)

// salts are the odd factors of the Parquet format.
var salts = block{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

var hashSeed = maphash.MakeSeed()

// hashOf returns the hash of a key. It differs from process to process.
func hashOf(key []byte) uint64 { return maphash.Bytes(hashSeed, key) }

// has reports whether the set may have a key.
func (s *keySet) has(hash uint64) bool {
	for i := len(s.filters) - 1; i >= 0; i-- {
		if s.filters[i].has(hash) {
			return true
		}
	}
	return false
}

// full reports whether the set must grow before it takes another key.
func (s *keySet) full() bool { return len(s.filters) == 0 || s.filters[len(s.filters)-1].free == 0 }

// next returns the number of bytes by which the set grows next.
func (s *keySet) next() int64 {
	keys := firstFilter
	for range s.filters {
		keys *= growth
	}
	return int64(blocksFor(keys)) * blockBytes
}

func blocksFor(keys int) int { return keys * bitsPerKey / 8 / blockBytes }

func (s *keySet) grow() {
	n := s.next() / blockBytes
	s.filters = append(s.filters, blockFilter{blocks: make([]block, n), free: int(n) * blockBytes * 8 / bitsPerKey})
}

// add adds a key that the set does not have. The set must not be full.
func (s *keySet) add(hash uint64) { s.filters[len(s.filters)-1].add(hash) }

// bytes returns the size of the set.
func (s *keySet) bytes() (n int64) {
	for i := range s.filters {
		n += int64(len(s.filters[i].blocks)) * blockBytes
	}
	return n
}

// block returns a key's block, and the half of its hash that chooses the bits.
func (f *blockFilter) block(hash uint64) (*block, uint32) {
	i, _ := bits.Mul64(hash, uint64(len(f.blocks)))
	return &f.blocks[i], uint32(hash)
}

func (f *blockFilter) has(hash uint64) bool {
	b, h := f.block(hash)
	for i := range b {
		if b[i]&(1<<(h*salts[i]>>27)) == 0 {
			return false
		}
	}
	return true
}

func (f *blockFilter) add(hash uint64) {
	b, h := f.block(hash)
	for i := range b {
		b[i] |= 1 << (h * salts[i] >> 27)
	}
	f.free--
}
