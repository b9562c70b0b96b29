package graph

import (
	"reflect"

	"github.com/millrace-streams/millrace/serde"
)

// SameSerde reports whether two serdes write the same format, as far as known: they have
// the same type and the same name.
func SameSerde(a, b any) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && serde.Name(a) == serde.Name(b)
}
