package foreign

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace-streams/millrace/serde"
)

// Key is the key of a subscription in its store: the encoded foreign key, and the encoded
// key of the left row.
type Key struct{ Foreign, Primary string }

// Keys encodes keys of subscriptions, in the format of Kafka Streams' CombinedKeySchema:
//
//	[4B length of the foreign key][foreign key][primary key]
//
// The keys of all subscriptions of a foreign key, and no others, begin with its
// [AppendPrefix]. The two arguments are the serdes of the keys. The name of this format
// contains the names of their formats.
func Keys(foreign, primary any) serde.Serde[Key] {
	return keys{
		name:   "subscription(" + serde.Name(foreign) + ", " + serde.Name(primary) + ")",
		format: "subscription(" + serde.FormatName(foreign) + ", " + serde.FormatName(primary) + ")",
	}
}

type keys struct{ name, format string }

const lengthBytes = 4

// AppendPrefix appends the prefix of the keys of all subscriptions of a foreign key.
func AppendPrefix(dst, foreign []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(foreign))), foreign...)
}

// AppendKey appends the key of a subscription.
func AppendKey(dst, foreign []byte, primary string) []byte {
	return append(AppendPrefix(dst, foreign), primary...)
}

func (keys) Append(dst []byte, k Key) ([]byte, error) {
	if len(k.Foreign) > math.MaxInt32 {
		return nil, fmt.Errorf("the foreign key has %d bytes, and the format allows at most %d", len(k.Foreign), math.MaxInt32)
	}
	return AppendKey(dst, []byte(k.Foreign), k.Primary), nil
}

func (keys) Decode(data []byte) (k Key, err error) {
	if len(data) < lengthBytes || uint64(binary.BigEndian.Uint32(data)) > uint64(len(data)-lengthBytes) {
		return k, fmt.Errorf("the key %x is not that of a subscription of a foreign-key join", data)
	}
	n := lengthBytes + int(binary.BigEndian.Uint32(data))
	return Key{string(data[lengthBytes:n]), string(data[n:])}, nil
}

func (k keys) String() string     { return k.name }
func (k keys) FormatName() string { return k.format }
