package store

import "github.com/millrace-streams/millrace/serde"

// Format describes in words how the rows are written, as in "a key-value store of string
// to int64". Rows that are there already are misread if it changes. Retention and window
// size are no part of it: a window store keeps finding its rows when they change.
func (s *Spec) Format() string { return s.FormatOf(s.Values) }

// FormatOf is Format with values of another serde.
func (s *Spec) FormatOf(values any) string {
	return "a " + s.Kind.Name + " store of " + serde.FormatName(s.Keys) + " to " + serde.FormatName(values)
}
