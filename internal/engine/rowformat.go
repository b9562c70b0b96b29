package engine

import (
	"encoding/binary"
	"fmt"
)

// Stored is a row as a table has it.
type Stored struct {
	Value     []byte
	Timestamp int64 // in ms, not negative
	// Format is the number of the format of the value. A store whose values never had
	// another format has format 0 only.
	Format uint8
}

const (
	timestampSize = 8 // of the timestamp in front of each value

	// formatMark is the bit of the timestamp which says that the number of the format
	// follows. No timestamp has it, because timestamps are not negative.
	formatMark = 1 << 63
)

// size returns the length of the row on disk.
func (s *Stored) size() int {
	if s.Format == 0 {
		return timestampSize + len(s.Value)
	}
	return timestampSize + 1 + len(s.Value)
}

// put writes the row to dst, which has its size.
//
//	[8B timestamp][value]                            format 0
//	[8B timestamp with formatMark][1B format][value] other formats
func (s *Stored) put(dst []byte) {
	at := uint64(max(s.Timestamp, 0))
	if s.Format == 0 {
		binary.BigEndian.PutUint64(dst, at)
		copy(dst[timestampSize:], s.Value)
		return
	}
	binary.BigEndian.PutUint64(dst, at|formatMark)
	dst[timestampSize] = s.Format
	copy(dst[timestampSize+1:], s.Value)
}

// splitRow parses what put has written. The value is a part of row.
func splitRow(row []byte) (s Stored, err error) {
	if len(row) < timestampSize {
		return s, fmt.Errorf("a row has %d bytes, fewer than its timestamp", len(row))
	}
	at := binary.BigEndian.Uint64(row)
	if at&formatMark == 0 {
		return Stored{Value: row[timestampSize:], Timestamp: int64(at)}, nil
	}
	if len(row) == timestampSize || row[timestampSize] == 0 {
		return s, fmt.Errorf("a row of %d bytes has a mark for the format of its value, but no format", len(row))
	}
	return Stored{Value: row[timestampSize+1:], Timestamp: int64(at &^ formatMark), Format: row[timestampSize]}, nil
}

// Undecoded is a value as it is stored. [Cells] of such values leave them in the formats
// that they have.
type Undecoded struct {
	Data   []byte
	Format uint8
}

// UndecodedOf returns the value of a row. It is a copy.
func UndecodedOf(row Stored) Undecoded { return Undecoded{append([]byte{}, row.Value...), row.Format} }

// UndecodedValues is the serde of [Undecoded] values. What it decodes has format 0.
type UndecodedValues struct{}

// Append implements serde.Serde.
func (UndecodedValues) Append(dst []byte, v Undecoded) ([]byte, error) {
	return append(dst, v.Data...), nil
}

// Decode implements serde.Serde.
func (UndecodedValues) Decode(data []byte) (Undecoded, error) {
	return UndecodedOf(Stored{Value: data}), nil
}

// UnknownFormatError says that a value has a format that the program cannot read.
type UnknownFormatError struct {
	Format uint8 // of the value
	Newest uint8 // that the program knows
}

func (e *UnknownFormatError) Error() string {
	if e.Format > e.Newest {
		return fmt.Sprintf("the row has format %d, and the newest format of this program is %d: a later version of the program has written the row: run that version", e.Format, e.Newest)
	}
	return fmt.Sprintf("the row has format %d, which this program no longer reads: run the version of the program that has the migration of this format, until all rows are converted", e.Format)
}
