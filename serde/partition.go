package serde

import "encoding/binary"

// Partitioned is implemented by a serde of keys that are not partitioned by their whole encoding. The windowed serdes implement it: a
// windowed key goes to the partition of the key in it, as in Kafka Streams, so that all windows of a key are in one partition.
type Partitioned[T any] interface {
	Serde[T]

	// AppendPartitionKey appends the bytes to be hashed for v's partition to dst, under the rules of Append.
	AppendPartitionKey(dst []byte, v T) ([]byte, error)
}

// AppendPartitionKey appends the bytes whose hash chooses the partition of key v: what s says if it is [Partitioned], otherwise the
// encoding.
func AppendPartitionKey[T any](dst []byte, s Serde[T], v T) ([]byte, error) {
	if p, ok := s.(Partitioned[T]); ok {
		return p.AppendPartitionKey(dst, v)
	}
	return s.Append(dst, v)
}

// Partition returns the partition, 0 to n-1, in which Kafka's default partitioner puts a record whose key is encoded as keyBytes, in a
// topic of n partitions: (murmur2 & 0x7fffffff) mod n. It is meant for records that have a key; an empty key is one. With n below 1
// there is no partition, and the result is -1.
func Partition(keyBytes []byte, n int32) int32 {
	if n < 1 {
		return -1
	}
	return (Murmur2(keyBytes) & 0x7fffffff) % n
}

// Murmur2 returns the 32-bit MurmurHash2 of data with the seed that Kafka's clients use (org.apache.kafka.common.utils.Utils).
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

// murmurTail reads the one to three bytes after the last whole word, little endian like the words.
func murmurTail(data []byte) uint32 {
	var k uint32
	for i, b := range data {
		k |= uint32(b) << (8 * i)
	}
	return k
}
