// Package batchsize computes how many bytes a record takes in a batch of Kafka.
//
// A broker compares the size of a whole batch with max.message.bytes and segment.bytes. A
// record must therefore fit together with the header of its batch, and the size after
// compression counts. The sizes here are those before compression.
//
// Source: Kafka's DefaultRecordBatch and DefaultRecord (message format 2). A record
// consists of its length, one byte of attributes, the differences of its timestamp and
// its offset to those of the batch, key, value and headers. All numbers of a record are
// zigzag varints.
package batchsize

// Overhead is the size of a batch without records.
const Overhead = 61

// Header is a record's header, as the client or as the processors have it.
type Header interface {
	~struct {
		Key   string
		Value []byte
	}
}

type plain = struct {
	Key   string
	Value []byte
}

// Of returns the size of a batch that has only this record.
func Of[H Header](key, value []byte, headers []H) int {
	const fixed = 1 + 1 + 1 // attributes; the differences are 0
	record := fixed + bytes(key) + bytes(value) + varint(len(headers))
	for i := range headers {
		h := plain(headers[i])
		record += varint(len(h.Key)) + len(h.Key) + bytes(h.Value)
	}
	return Overhead + varint(record) + record
}

// Bound returns an upper bound of the record's size in any batch. It costs less than
// [Of], because it counts every varint with its largest size.
func Bound[H Header](key, value []byte, headers []H) int {
	const length, attributes, timestamp, offset, count, field = 5, 1, 10, 5, 5, 5
	size := length + attributes + timestamp + offset + field + len(key) + field + len(value) + count
	for i := range headers {
		h := plain(headers[i])
		size += field + len(h.Key) + field + len(h.Value)
	}
	return size
}

// bytes is the size of b with its length before it; the length of nil is -1.
func bytes(b []byte) int {
	if b == nil {
		return 1
	}
	return varint(len(b)) + len(b)
}

// varint is the size of n as a zigzag varint.
func varint(n int) int {
	size := 1
	for u := uint64(n) << 1; u >= 0x80; u >>= 7 {
		size++
	}
	return size
}
