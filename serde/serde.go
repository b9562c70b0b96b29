package serde

import "fmt"

// Serde encodes and decodes values of one type. Implementations must be safe for use by
// several goroutines at once.
type Serde[T any] interface {
	// Append appends the encoding of v to dst and returns the extended slice, like the
	// built-in append. It must not keep dst. It returns an error if v has no encoding;
	// the caller then discards what was appended.
	Append(dst []byte, v T) ([]byte, error)

	// Decode returns the value that data encodes. data is never nil, because an absent
	// key or value is not decoded (see [Optional]). The value must not alias data,
	// because the caller may reuse it.
	Decode(data []byte) (T, error)
}

// Optional is implemented by a Serde that has a value for "absent", such as nil for
// [Nullable].
//
//   - A stream with an Optional serde calls user functions for absent keys or values too,
//     and passes this value. It writes this value as absent: a nil key or a tombstone.
//   - With any other serde, absence is carried beside the zero value, and most functions
//     are not called for it.
type Optional[T any] interface {
	Serde[T]

	// Absent reports whether v stands for an absent key or value.
	Absent(v T) bool
}

// Canonical is implemented by a Serde that has one encoding for each value: if Decode
// accepts data, Append of the result writes the same bytes. JSON, for example, has many
// encodings of a value. [String], [Bytes] and the integers of this package are canonical
// without implementing it.
//
// Bytes of a key that was read are then passed on without encoding the key again, and the
// topic of a table can be its changelog (topology.SourceAsChangelog).
type Canonical interface {
	// Canonical reports whether that is so.
	Canonical() bool
}

// Encode returns the encoding of v in a new slice.
func Encode[T any](s Serde[T], v T) ([]byte, error) {
	return s.Append(nil, v)
}

// Name returns the name of a serde for messages: the result of its String method, or its
// type if it has none. Name does not read the fields of a serde, because the serde may be
// in use. The name of nil is "none".
func Name(s any) string {
	switch s := s.(type) {
	case nil:
		return "none"
	case fmt.Stringer:
		return s.String()
	}
	return fmt.Sprintf("%T", s)
}

// unknownFormat stands for a format, or a part of one, that a serde does not name.
const unknownFormat = "?"

// FormatName returns the name of the format that a serde writes. An application records
// the name with its state, and refuses to start if the name has changed since.
//
// The name is the first of these that exists:
//
//  1. the result of the serde's method FormatName() string;
//  2. the result of its String method;
//  3. "?", which is not compared with anything.
//
// The name must not change while the bytes stay the same. If String contains the name of
// a Go type, the serde needs its own FormatName. The name of [JSON] is "json" for every
// type.
func FormatName(s any) string {
	switch s := s.(type) {
	case interface{ FormatName() string }:
		return s.FormatName()
	case fmt.Stringer:
		return s.String()
	}
	return unknownFormat
}
