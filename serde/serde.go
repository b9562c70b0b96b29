package serde

import "fmt"

// Serde turns values of one type into bytes and back. Implementations must be safe for use by several goroutines at once.
type Serde[T any] interface {
	// Append appends the encoding of v to dst and returns the extended slice, as append does. It must not keep dst. An error means
	// that v has no encoding; the caller then discards what was appended.
	Append(dst []byte, v T) ([]byte, error)

	// Decode returns the value that data encodes. data is never nil (an absent key or value is not decoded, see [Optional]). The
	// value must not alias data, which the caller may use again.
	Decode(data []byte) (T, error)
}

// Optional is implemented by a Serde one of whose values stands for "absent": nil for [Nullable]. A stream whose serde is Optional
// calls the user's functions for absent keys or values too, with that value, and writes that value as absent (a nil key or a
// tombstone). With any other serde, absence is carried beside the zero value, and most functions are not called for it.
type Optional[T any] interface {
	Serde[T]

	// Absent reports whether v stands for an absent key or value.
	Absent(v T) bool
}

// Encode returns the encoding of v in a slice of its own.
func Encode[T any](s Serde[T], v T) ([]byte, error) {
	return s.Append(nil, v)
}

// Name returns how messages call a serde: what its String says, else its type. The fields of a serde are not looked at, since it may be in use. It is
// "none" for nil.
func Name(s any) string {
	switch s := s.(type) {
	case nil:
		return "none"
	case fmt.Stringer:
		return s.String()
	}
	return fmt.Sprintf("%T", s)
}

// unknownFormat stands for a format, or the part of one, that a serde does not tell.
const unknownFormat = "?"

// FormatName names what a serde writes. An application records the name with its state, and
// refuses to start if the name has changed since.
//
// The name is what the method FormatName() string of the serde returns, else what String
// returns, else "?", which is compared with nothing. The name must not change while the bytes
// stay the same: a serde whose String contains the name of a Go type needs a FormatName of its
// own. The name of [JSON] is "json", whatever its type.
func FormatName(s any) string {
	switch s := s.(type) {
	case interface{ FormatName() string }:
		return s.FormatName()
	case fmt.Stringer:
		return s.String()
	}
	return unknownFormat
}
