package foreign

import (
	"fmt"

	"github.com/millrace-streams/millrace/serde"
)

// Response is the message from a right row to a left row that has subscribed to it.
type Response struct {
	Hash  Hash   // of the subscription
	Value []byte // of the right row, encoded; nil: there is none

	// Partition is the partition of the left row, or -1 if Kafka's default partitioner
	// chooses it. It is not encoded.
	Partition int32
}

// Responses encodes responses, in the format of Kafka Streams'
// SubscriptionResponseWrapperSerde:
//
//	[1B version][16B hash][value]
//
// The highest bit of the version says that there is no hash. In version 0 an empty value
// stands for no row. Millrace adds version 1 for a row whose value has an empty encoding.
// Kafka Streams takes such a row for an absent one.
//
// The Value of a decoded Response shares the memory of the decoded bytes.
func Responses() serde.Serde[Response] { return responses{} }

type responses struct{}

const (
	valueOrNone = 0
	emptyValue  = 1
)

func (responses) Append(dst []byte, r Response) ([]byte, error) {
	version := byte(valueOrNone)
	if r.Value != nil && len(r.Value) == 0 {
		version = emptyValue
	}
	return append(appendHash(dst, version, r.Hash), r.Value...), nil
}

func (responses) Decode(data []byte) (r Response, err error) {
	if len(data) == 0 {
		return r, fmt.Errorf("a response of a foreign-key join is empty")
	}
	version := data[0] &^ noHash
	if version > emptyValue {
		return r, fmt.Errorf("a response of a foreign-key join has the unknown version %d", version)
	}
	hash, value, ok := cutHash(data[0], data[1:])
	if !ok || version == emptyValue && len(value) > 0 {
		return r, fmt.Errorf("a response of a foreign-key join is cut off, or has a value where it should be empty: %x", data)
	}
	r.Hash, r.Partition = hash, -1
	if version == emptyValue || len(value) > 0 {
		r.Value = value
	}
	return r, nil
}

func (responses) String() string { return "foreign-key response" }
