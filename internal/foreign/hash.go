package foreign

import (
	"encoding/binary"
	"math/bits"
)

// Hash identifies the encoded value of a left row. The zero Hash stands for an absent
// row. Hashes are compared with ==.
type Hash struct {
	sum   [hashBytes]byte
	known bool
}

const hashBytes = 16

// HashOf returns the hash of an encoded value.
func HashOf(value []byte) Hash {
	h := Hash{known: true}
	h1, h2 := murmur3(value)
	binary.BigEndian.PutUint64(h.sum[:], h1)
	binary.BigEndian.PutUint64(h.sum[8:], h2)
	return h
}

// The seed is Kafka Streams'. The other constants are those of MurmurHash3 x64 128.
const (
	murmurSeed = 104729
	murmur1    = 0x87c37b91114253d5
	murmur2    = 0x4cf5ad432745937f
)

// murmur3 is Austin Appleby's MurmurHash3_x64_128.
func murmur3(data []byte) (h1, h2 uint64) {
	h1, h2 = murmurSeed, murmurSeed
	n := uint64(len(data))
	for ; len(data) >= 16; data = data[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	var tail [16]byte
	copy(tail[:], data)
	// An absent part is 0, and the mix of 0 is 0.
	h1 ^= mix1(binary.LittleEndian.Uint64(tail[:]))
	h2 ^= mix2(binary.LittleEndian.Uint64(tail[8:]))
	h1, h2 = h1^n, h2^n
	h1 += h2
	h2 += h1
	h1, h2 = avalanche(h1), avalanche(h2)
	h1 += h2
	return h1, h2 + h1
}

func mix1(k uint64) uint64 { return bits.RotateLeft64(k*murmur1, 31) * murmur2 }
func mix2(k uint64) uint64 { return bits.RotateLeft64(k*murmur2, 33) * murmur1 }

func avalanche(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
