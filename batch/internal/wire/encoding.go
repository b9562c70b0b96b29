package wire

import (
	"encoding/binary"

	"github.com/millrace-streams/millrace/serde"
)

// BE64 returns a number as eight big-endian bytes.
func BE64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// BE32 returns a number as four big-endian bytes.
func BE32(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

// Absent reports whether a serde encodes v as absent: a null key or value in Kafka.
func Absent[T any](s serde.Serde[T], v T) bool {
	o, ok := s.(serde.Optional[T])
	return ok && o.Absent(v)
}
