package batch

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/serde"
)

// kind is the kind of a message.
type kind byte

const (
	partial kind = 'p' // of an aggregation, from a stamping task to a counting task
	marker  kind = 'm' // all of the sender's up to its end precedes it
	rowOf   kind = 'r' // of a result, from a counting task to the gather task
	sink    kind = 's' // on the way to a sink; never on the wire
)

// message is what goes through the repartition topics of batches. The record's key is
// that of the row; a marker's is its name.
type message struct {
	kind kind
	name string // of the aggregation, the gathered result, or (marker) the Every
	span
	task, of int32  // marker: of the sender
	payload  []byte // else: the value; valid during the call in what is sent
}

// span is a batch, or in markers anything from one boundary to another, in ms since 1970.
type span struct {
	from, to int64
	live     bool // marker: the sender ran when the batch ended, or has sent something of it
}

// The wire form is
//
//	[1B version 1][1B kind][1B length][name][8B from][8B to] then, of a marker, [4B task][4B of][1B live], else the payload
//
// with big-endian numbers.
const (
	messageVersion = 1
	maxNameLength  = 255
)

// messages is the serde of messages.
var messages serde.Serde[message] = messageSerde{}

type messageSerde struct{}

var errMessage = errors.New("not a message of a batch")

func (messageSerde) Append(dst []byte, m message) ([]byte, error) {
	if len(m.name) > maxNameLength {
		return dst, fmt.Errorf("the name %q is longer than %d bytes", m.name, maxNameLength)
	}
	dst = append(dst, messageVersion, byte(m.kind), byte(len(m.name)))
	dst = append(dst, m.name...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.from))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.to))
	if m.kind != marker {
		return append(dst, m.payload...), nil
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.task))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.of))
	if m.live {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func (messageSerde) Decode(data []byte) (m message, err error) {
	if len(data) < 3 || data[0] != messageVersion {
		return m, errMessage
	}
	m.kind = kind(data[1])
	n := int(data[2])
	if data = data[3:]; len(data) < n+16 {
		return m, errMessage
	}
	m.name = string(data[:n])
	data = data[n:]
	m.from = int64(binary.BigEndian.Uint64(data))
	m.to = int64(binary.BigEndian.Uint64(data[8:]))
	data = data[16:]
	if m.from < 0 || m.to <= m.from {
		return m, errMessage
	}
	switch m.kind {
	case partial, rowOf:
		m.payload = append([]byte{}, data...)
		return m, nil
	case marker:
		return m.decodeMarker(data)
	}
	return m, errMessage
}

func (m message) decodeMarker(data []byte) (message, error) {
	if len(data) != 9 || data[8] > 1 {
		return m, errMessage
	}
	m.task = int32(binary.BigEndian.Uint32(data))
	m.of = int32(binary.BigEndian.Uint32(data[4:]))
	m.live = data[8] == 1
	if m.of < 1 || m.task < 0 || m.task >= m.of {
		return m, errMessage
	}
	return m, nil
}

func (messageSerde) String() string { return "batch messages 1" }

// totals is the serde of Total: one byte, since a record without a key would not get
// through a repartition topic.
var totals serde.Serde[Total] = totalSerde{}

type totalSerde struct{}

func (totalSerde) Append(dst []byte, _ Total) ([]byte, error) { return append(dst, 0), nil }
func (totalSerde) Decode([]byte) (Total, error)               { return Total{}, nil }
func (totalSerde) String() string                             { return "total" }
