package graph

import (
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// Rows says what the rows of a store mean, as far as known. It is recorded with the
// state.
type Rows struct {
	Kind       string // the name of a store.Kind
	Key, Value string // formats, as serde.FormatName names them
	Duplicates bool   // a window store that keeps all values of a key and a window

	Size    time.Duration // of windows: 0 without windows, math.MaxInt64 without end
	Advance time.Duration // between the starts of windows, 0 if unknown
	Start   int64         // of a window without end, in ms

	// Earlier has the formats that the values had before Value, by number. "" stands for
	// one that no row has any more.
	Earlier []string
}

// RowsOf returns the Rows of a spec.
func RowsOf(s *store.Spec) Rows {
	rows := Rows{Kind: s.Kind.Name, Duplicates: s.Duplicates, Size: s.WindowSize}
	if !s.Kind.Own {
		rows.Key, rows.Value = rowFormat(s.Keys), rowFormat(s.Values)
	}
	rows.Earlier = s.Migrations.Formats(rowFormat)
	return rows
}

// rowFormat returns the format of a serde. If the name of a serde does not describe its
// rows fully, the serde has a method RowFormat.
func rowFormat(of any) string {
	if s, ok := of.(interface{ RowFormat() string }); ok {
		return s.RowFormat()
	}
	return serde.FormatName(of)
}

// FormatsAgree reports whether two names of formats can mean the same. "?" matches
// anything.
func FormatsAgree(a, b string) bool { return a == b || matches(a, b) || matches(b, a) }

// matches reports whether text equals pattern when each "?" stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "?")
	if len(parts) == 1 {
		return pattern == text
	}
	last := len(parts) - 1
	text, found := strings.CutPrefix(text, parts[0])
	for _, part := range parts[1:last] {
		if !found {
			return false
		}
		_, text, found = strings.Cut(text, part)
	}
	return found && strings.HasSuffix(text, parts[last])
}
