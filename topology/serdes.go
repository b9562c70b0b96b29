package topology

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/millrace-streams/millrace/serde"
)

// sameSerde reports whether two serdes write the same, as far as that can be known: they have the same type, and say the same of themselves if
// they have a String, as the standard ones do.
func sameSerde(a, b any) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	s, ok := a.(fmt.Stringer)
	return !ok || s.String() == b.(fmt.Stringer).String()
}

// agree reports whether streams with these serdes may be merged; a serde that is not there agrees with any.
func agree[T any](a, b serde.Serde[T]) bool { return a == nil || b == nil || sameSerde(a, b) }

// serdeName names a serde in problems.
func serdeName(s any) string {
	switch s := s.(type) {
	case nil:
		return "none"
	case fmt.Stringer:
		return s.String()
	}
	return fmt.Sprintf("%T", s)
}

func serdeNames(keys, values any) string {
	return serdeName(keys) + "/" + serdeName(values)
}

// format names what a serde writes, for the comparison with earlier versions of a topology: "?" where that is not known. The
// type that is kept as JSON is left out, because its name may change and its fields may grow.
func format(s any) string {
	str, ok := s.(fmt.Stringer)
	if !ok {
		return "?"
	}
	text := str.String()
	if i := strings.Index(text, "json "); i >= 0 {
		return text[:i+len("json")]
	}
	return text
}

// canonical reports whether each value has exactly one encoding, so that the bytes of a key that was read are those that writing it would give.
func canonical(s any) bool {
	switch s {
	case any(serde.String), any(serde.Bytes), any(serde.Int16), any(serde.Int32), any(serde.Int64):
		return true
	}
	return false
}
