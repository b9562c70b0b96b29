package serde

import (
	"encoding/json"
	"strings"
	"testing"
)

type named struct {
	Name   string
	hidden string
	Left   string `json:"-"`
}

// Strings that are not UTF-8 fail, wherever they are, instead of becoming equal to
// others.
func TestJSONRefusesStringsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	const bad = "a\xffb"
	for _, v := range []any{
		bad, named{Name: bad}, &named{Name: bad}, []string{"a", bad}, [1]string{bad},
		map[string]int{bad: 1}, map[string]any{"k": []any{bad}},
	} {
		data, err := JSON[any]().Append([]byte("before"), v)
		if err == nil || !strings.Contains(err.Error(), "not UTF-8") || string(data) != "before" {
			t.Errorf("%#v: %q, %v", v, data, err)
		}
	}
}

func TestJSONWritesTheReplacementCharacter(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		"\ufffd", `\ufffd`, []byte{0xff}, json.RawMessage(`"\ufffd"`),
		named{Name: "\ufffd", hidden: "\xff", Left: "\xff"},
		[]any{json.RawMessage(`"\ufffd"`), named{hidden: "\xff", Left: "\xff"}},
	} {
		if _, err := JSON[any]().Append(nil, v); err != nil {
			t.Errorf("%#v: %v", v, err)
		}
	}
}
