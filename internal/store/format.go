package store

import "github.com/millrace-streams/millrace/serde"

// Format describes in words how the rows are written, as in "a key-value store of string
// to int64". Rows that are there already are misread if it changes. Retention and window
// size are no part of it: a window store keeps finding its rows when they change.
func (s *Spec) Format() string { return s.formatWith(s.Values) }

// EarlierFormats returns what Format returned for the earlier formats of the values, by
// their numbers. "" stands for a format that no row has any more.
func (s *Spec) EarlierFormats() []string {
	var out []string
	for _, values := range s.Migrations.Serdes() {
		text := ""
		if values != nil {
			text = s.formatWith(values)
		}
		out = append(out, text)
	}
	return out
}

func (s *Spec) formatWith(values any) string {
	return "a " + s.Kind.Name + " store of " + serde.FormatName(s.Keys) + " to " + serde.FormatName(values)
}
