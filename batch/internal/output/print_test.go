package output

import (
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

func TestBlock(t *testing.T) {
	t.Parallel()
	list := []rows.Kept[string, int]{
		{Row: rows.Row[string, int]{Key: "a", Value: 1}}, {Row: rows.Row[string, int]{Key: "b", Value: 2}},
	}
	for _, test := range []struct {
		format Format
		want   string // after the line of the time and the rule behind it
	}{
		{Format{Rows: 2}, "(a,1)\n(b,2)\n\n"},
		{Format{Rows: 1}, "(a,1)\n...\n\n"},
		{Format{Rows: 2, NoKeys: true}, "1\n2\n\n"},
	} {
		text := string(block(wire.Span{From: 0, To: 5000}, list, test.format))
		if !strings.HasPrefix(text, rule+"Time: ") {
			t.Errorf("%+v: %q does not begin with the rule and the time", test.format, text)
		}
		if _, got, _ := strings.Cut(strings.TrimPrefix(text, rule), rule); got != test.want {
			t.Errorf("%+v: %q, want %q", test.format, got, test.want)
		}
	}
	titled := string(block(wire.Span{To: 5000}, list, Format{Rows: 2, Title: "letters"}))
	if line, _, _ := strings.Cut(strings.TrimPrefix(titled, rule), "\n"); !strings.HasSuffix(line, "  letters") {
		t.Errorf("the line of the time is %q, want the title at its end", line)
	}
}
