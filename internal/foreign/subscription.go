package foreign

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-streams/millrace/serde"
)

// Instruction says what the right side does with a subscription.
type Instruction uint8

// The instructions. Their numbers are those of Kafka Streams.
const (
	// Unsubscribe deletes the subscription.
	Unsubscribe Instruction = iota
	// UnsubscribeAndAnswer deletes the subscription, and answers that there is no right
	// row.
	UnsubscribeAndAnswer
	// SubscribeAndAnswer keeps the subscription, and answers with the right row, or says
	// that there is none. Without a foreign key it only answers.
	SubscribeAndAnswer
	// Subscribe keeps the subscription, and answers if there is a right row.
	Subscribe
)

// Keeps reports whether the subscription is kept.
func (i Instruction) Keeps() bool { return i == SubscribeAndAnswer || i == Subscribe }

// Subscription is the message of a left row to the row of its foreign key.
type Subscription struct {
	Hash        Hash
	Instruction Instruction
	Primary     string // the encoded key of the left row
	Partition   int32  // the left row's; -1: as Kafka's default partitioner chooses
}

// Subscriptions encodes subscriptions, in the format of Kafka Streams'
// SubscriptionWrapperSerde:
//
//	[1B version][1B instruction][16B hash][primary key][4B partition]
//
// The highest bit of the version says that there is no hash. In version 0, which older
// versions of Kafka Streams write, there is no partition. Append writes version 1.
func Subscriptions() serde.Serde[Subscription] { return subscriptions{} }

type subscriptions struct{}

const (
	noHash               = 0x80
	withoutPartition     = 0
	withPartition        = 1
	subscriptionPreamble = 2
	partitionBytes       = 4
)

// appendHash appends a version, the bytes between, and the bytes of a hash.
func appendHash(dst []byte, version byte, h Hash, between ...byte) []byte {
	if !h.known {
		return append(append(dst, version|noHash), between...)
	}
	return append(append(append(dst, version), between...), h.sum[:]...)
}

// cutHash returns the hash at the start of data, if the version says that there is one.
func cutHash(version byte, data []byte) (h Hash, rest []byte, ok bool) {
	if version&noHash != 0 {
		return h, data, true
	}
	if len(data) < hashBytes {
		return h, nil, false
	}
	h.known = true
	copy(h.sum[:], data)
	return h, data[hashBytes:], true
}

func (subscriptions) Append(dst []byte, s Subscription) ([]byte, error) {
	version := byte(withPartition)
	if s.Partition < 0 {
		version = withoutPartition
	}
	dst = append(appendHash(dst, version, s.Hash, byte(s.Instruction)), s.Primary...)
	if version == withPartition {
		dst = binary.BigEndian.AppendUint32(dst, uint32(s.Partition))
	}
	return dst, nil
}

func (subscriptions) Decode(data []byte) (s Subscription, err error) {
	if len(data) < subscriptionPreamble {
		return s, fmt.Errorf("a subscription of a foreign-key join has only %d bytes", len(data))
	}
	version := data[0]
	s.Instruction, s.Partition = Instruction(data[1]), -1
	hash, rest, ok := cutHash(version, data[subscriptionPreamble:])
	switch version &^ noHash {
	case withoutPartition:
	case withPartition:
		if ok = ok && len(rest) >= partitionBytes; ok {
			n := len(rest) - partitionBytes
			s.Partition = int32(binary.BigEndian.Uint32(rest[n:]))
			rest = rest[:n]
			ok = s.Partition >= 0
		}
	default:
		return s, fmt.Errorf("a subscription of a foreign-key join has the unknown version %d", version&^noHash)
	}
	switch {
	case !ok:
		return s, fmt.Errorf("a subscription of a foreign-key join is cut off or has a negative partition: %x", data)
	case s.Instruction > Subscribe:
		return s, fmt.Errorf("a subscription of a foreign-key join has the unknown instruction %d", s.Instruction)
	}
	s.Hash, s.Primary = hash, string(rest)
	return s, nil
}

func (subscriptions) String() string { return "foreign-key subscription" }
