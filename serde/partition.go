package serde

import "encoding/binary"

// Partitioned is implemented by serdes for keys that are not partitioned by their whole
// encoding. The windowed serdes implement it: a windowed key goes to the partition of the
// key inside it, as in Kafka Streams. All windows of a key are therefore in one
// partition.
type Partitioned[T any] interface {
	Serde[T]

	// AppendPartitionKey appends to dst the bytes that are hashed for the partition of v.
	// The rules of Append apply.
	AppendPartitionKey(dst []byte, v T) ([]byte, error)
}

// AppendPartitionKey appends the bytes whose hash determines the partition of the key v.
// If s is [Partitioned], s chooses these bytes. Otherwise they are the encoding of v.
func AppendPartitionKey[T any](dst []byte, s Serde[T], v T) ([]byte, error) {
	if p, ok := s.(Partitioned[T]); ok {
		return p.AppendPartitionKey(dst, v)
	}
	return s.Append(dst, v)
}

// Partition returns the partition, 0 to n-1, that Kafka's default partitioner chooses for
// a record in a topic of n partitions: (murmur2 & 0x7fffffff) mod n. keyBytes is the
// encoded key. It may be empty, but Partition is not meant for records without a key. If
// n is below 1, there is no partition, and the result is -1.
func Partition(keyBytes []byte, n int32) int32 {
	if n < 1 {
		return -1
	}
	return (Murmur2(keyBytes) & 0x7fffffff) % n
}

// Murmur2 returns the 32-bit MurmurHash2 of data, with the seed that Kafka's clients use
// (org.apache.kafka.common.utils.Utils).
func Murmur2(data []byte) int32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k ^= k >> r
		h = h*m ^ k*m
	}
	if len(data) > 0 {
		h = (h ^ murmurTail(data)) * m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h)
}

// murmurTail reads the one to three bytes after the last whole word. Like the words, they
// are little endian.
func murmurTail(data []byte) uint32 {
	var k uint32
	for i, b := range data {
		k |= uint32(b) << (8 * i)
	}
	return k
}
