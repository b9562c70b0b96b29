package task

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-streams/millrace/processor"
)

// metadata is the content of a committed offset's metadata. The format is Kafka Streams'
// TopicPartitionMetadata: base64([1B version 2][8B partition time]([4B n]([4B
// length][name][8B value])*)), all big-endian. Without names, n is omitted. The mark is
// the value of the first name.
type metadata struct {
	partitionTime processor.Timestamp
	mark          Mark
	values        map[string]int64
}

const (
	metadataVersion = 2

	// maxMetadata keeps the text below the broker's default limit,
	// offset.metadata.max.bytes = 4096, with room for what a later version adds.
	maxMetadata = 3 << 10
)

// NoTimes returns the metadata of an offset at which an input starts for the first time.
// They say that nothing was processed before. An offset without metadata would look as if
// a tool had set it, and the times had been lost.
func NoTimes(topic Mark) string { return metadata{partitionTime: -1, mark: topic}.encode() }

// encode returns the text. Names are sorted, so that equal metadata have equal texts.
func (m metadata) encode() string {
	b := make([]byte, 0, m.size())
	b = append(b, metadataVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.partitionTime))
	if n := m.names(); n > 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	if m.mark != 0 {
		b = appendValue(b, markName, int64(m.mark))
	}
	for _, name := range slices.Sorted(maps.Keys(m.values)) {
		b = appendValue(b, name, m.values[name])
	}
	return base64.StdEncoding.EncodeToString(b)
}

func appendValue(b []byte, name string, v int64) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	return binary.BigEndian.AppendUint64(b, uint64(v))
}

// names is the number of names.
func (m metadata) names() int {
	if m.mark != 0 {
		return len(m.values) + 1
	}
	return len(m.values)
}

// size is the length of the text.
func (m metadata) size() int {
	n := 9
	if m.names() > 0 {
		n += 4
	}
	if m.mark != 0 {
		n += 4 + len(markName) + 8
	}
	for name := range m.values {
		n += 4 + len(name) + 8
	}
	return base64.StdEncoding.EncodedLen(n)
}

var errMetadata = errors.New("not the metadata of a Millrace or Kafka Streams commit")

// decodeMetadata reads the text of encode, and that of Kafka Streams' version 1, which
// has no names. An empty text means no metadata.
func decodeMetadata(text string) (metadata, error) {
	none := metadata{partitionTime: -1}
	if text == "" {
		return none, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return none, fmt.Errorf("%w: %w", errMetadata, err)
	}
	if len(b) < 9 || b[0] < 1 || b[0] > metadataVersion {
		return none, errMetadata
	}
	m := metadata{partitionTime: processor.Timestamp(binary.BigEndian.Uint64(b[1:]))}
	if m.partitionTime < -1 {
		return none, errMetadata
	}
	if b = b[9:]; len(b) == 0 {
		return m, nil
	}
	if m.values, err = decodeValues(b); err != nil {
		return none, err
	}
	m.mark = Mark(m.values[markName])
	delete(m.values, markName)
	return m, nil
}

func decodeValues(b []byte) (map[string]int64, error) {
	n, b, err := cutInt32(b)
	if err != nil {
		return nil, err
	}
	const smallest = 4 + 8
	if n < 0 || int(n) > len(b)/smallest {
		return nil, errMetadata
	}
	values := make(map[string]int64, n)
	for range n {
		var length int32
		if length, b, err = cutInt32(b); err != nil {
			return nil, err
		}
		if length < 0 || int(length) > len(b)-8 {
			return nil, errMetadata
		}
		values[string(b[:length])] = int64(binary.BigEndian.Uint64(b[length:]))
		b = b[length+8:]
	}
	if len(b) != 0 {
		return nil, errMetadata
	}
	return values, nil
}

func cutInt32(b []byte) (int32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, errMetadata
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:], nil
}

// ShowsProcessed reports whether the metadata of a committed offset show that a record of
// the partition was processed.
func ShowsProcessed(text string) bool {
	m, err := decodeMetadata(text)
	return err == nil && m.partitionTime >= 0
}

// IsMetadata reports whether the metadata of a committed offset come from a task or from
// Kafka Streams, and not from a tool that has set the offset.
func IsMetadata(text string) bool {
	_, err := decodeMetadata(text)
	return text != "" && err == nil
}
