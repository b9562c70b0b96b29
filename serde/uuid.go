package serde

import (
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// UUID encodes a UUID as 36 characters of text in lower case, such as
// 123e4567-e89b-12d3-a456-426614174000. The format is that of Kafka's UUIDSerializer.
// Decode accepts upper case too, but no other form.
var UUID Serde[uuid.UUID] = uuidSerde{}

const uuidTextLength = 36

type uuidSerde struct{}

func (uuidSerde) Append(dst []byte, v uuid.UUID) ([]byte, error) {
	dst = append(hex.AppendEncode(dst, v[:4]), '-')
	dst = append(hex.AppendEncode(dst, v[4:6]), '-')
	dst = append(hex.AppendEncode(dst, v[6:8]), '-')
	dst = append(hex.AppendEncode(dst, v[8:10]), '-')
	return hex.AppendEncode(dst, v[10:]), nil
}

func (s uuidSerde) Decode(data []byte) (uuid.UUID, error) {
	// ParseBytes also accepts the bare, braced and URN forms. They have other lengths.
	if len(data) != uuidTextLength {
		return uuid.Nil, wrongLength(s, uuidTextLength, data)
	}
	v, err := uuid.ParseBytes(data)
	if err != nil {
		return uuid.Nil, fmt.Errorf("uuid: %q: %w", data, err)
	}
	return v, nil
}

func (uuidSerde) String() string { return "uuid" }
