package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/serde"
)

// Kind is the kind of a message.
type Kind byte

// The kinds of messages.
const (
	Partial Kind = 'p' // a partial result, from a stamping task to a counting task
	Marker  Kind = 'm' // everything that its sender has sent up to its end precedes it
	Row     Kind = 'r' // a row of a result, from a counting task to the gather task
	Sink    Kind = 's' // a row on its way to a sink; it is never encoded
)

// Message is the value of a record in the repartition topics of batches. The key of the
// record is the key of the row, or the name of the Every for a marker.
type Message struct {
	Kind Kind
	Name string // of the aggregation or the gathered result; for a marker of the Every
	Span
	Task, Of int32  // marker: the sender's partition, of so many
	Payload  []byte // otherwise: the value; a receiver may read it only during the call
}

// The encoding of a message is
//
//	[1B version 1][1B kind][1B length][name][8B from][8B to]
//
// followed by [4B task][4B of][1B live] in a marker, and by the payload in other
// messages. Numbers are big-endian.
const (
	messageVersion = 1
	maxNameLength  = 255
)

// Messages is the serde of messages.
var Messages serde.Serde[Message] = messageSerde{}

type messageSerde struct{}

var errMessage = errors.New("not a message of a batch")

func (messageSerde) Append(dst []byte, m Message) ([]byte, error) {
	if len(m.Name) > maxNameLength {
		return dst, fmt.Errorf("the name %q is longer than %d bytes", m.Name, maxNameLength)
	}
	dst = append(dst, messageVersion, byte(m.Kind), byte(len(m.Name)))
	dst = append(dst, m.Name...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.From))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.To))
	if m.Kind != Marker {
		return append(dst, m.Payload...), nil
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Task))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Of))
	if m.Live {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func (messageSerde) Decode(data []byte) (m Message, err error) {
	if len(data) < 3 || data[0] != messageVersion {
		return m, errMessage
	}
	m.Kind = Kind(data[1])
	n := int(data[2])
	if data = data[3:]; len(data) < n+16 {
		return m, errMessage
	}
	m.Name = string(data[:n])
	data = data[n:]
	m.From = int64(binary.BigEndian.Uint64(data))
	m.To = int64(binary.BigEndian.Uint64(data[8:]))
	data = data[16:]
	if m.From < 0 || m.To <= m.From {
		return m, errMessage
	}
	switch m.Kind {
	case Partial, Row:
		m.Payload = append([]byte{}, data...)
		return m, nil
	case Marker:
		return m.decodeMarker(data)
	}
	return m, errMessage
}

func (m Message) decodeMarker(data []byte) (Message, error) {
	if len(data) != 9 || data[8] > 1 {
		return m, errMessage
	}
	m.Task = int32(binary.BigEndian.Uint32(data))
	m.Of = int32(binary.BigEndian.Uint32(data[4:]))
	m.Live = data[8] == 1
	if m.Of < 1 || m.Task < 0 || m.Task >= m.Of {
		return m, errMessage
	}
	return m, nil
}

func (messageSerde) String() string { return "batch messages 1" }
