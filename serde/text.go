package serde

// String encodes a string as its bytes, in the format of Kafka's StringSerializer. In a
// well-formed topic these bytes are UTF-8. Bytes that are not UTF-8 are kept in both
// directions (Java replaces them), so a record passes through unchanged.
var String Serde[string] = stringSerde{}

// Bytes encodes a byte slice as itself, in the format of Kafka's ByteArraySerializer. A
// nil slice is encoded like an empty one; only Nullable(Bytes) writes absence. Decode
// returns a copy, never nil.
var Bytes Serde[[]byte] = bytesSerde{}

type stringSerde struct{}

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringSerde) Decode(data []byte) (string, error)          { return string(data), nil }
func (stringSerde) String() string                              { return "string" }

type bytesSerde struct{}

func (bytesSerde) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

func (bytesSerde) Decode(data []byte) ([]byte, error) {
	v := make([]byte, len(data))
	copy(v, data)
	return v, nil
}

func (bytesSerde) String() string { return "bytes" }
