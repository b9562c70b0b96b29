package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/serde/internal/jsonscan"
)

// comparer compares the decoder for a type with encoding/json.
type comparer struct {
	name string
	// compare reports whether the decoder was sure about the input.
	compare func(t testing.TB, data []byte) (sure bool)
}

func compare[T any]() comparer {
	d := jsonscan.For[T]()
	return comparer{
		name: reflect.TypeFor[T]().String(),
		compare: func(t testing.TB, data []byte) bool {
			t.Helper()
			return same(t, d, data)
		},
	}
}

// same fails the test if the decoder is sure about a value that encoding/json refuses, or
// decodes differently.
func same[T any](t testing.TB, d *jsonscan.Decoder[T], data []byte) (sure bool) {
	t.Helper()
	in := bytes.Clone(data)
	have, sure := d.Decode(in)
	if !bytes.Equal(in, data) {
		t.Fatalf("%T: %q was changed to %q", have, data, in)
	}
	clear(in)
	if !sure {
		return false
	}
	var want T
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatalf("%T: %q is decoded to %+v, and encoding/json says: %v", have, data, have, err)
	}
	if !equal(have, want) {
		t.Fatalf("%T: %q is decoded to\n%#v, want\n%#v", have, data, have, want)
	}
	return true
}

// equal compares values. reflect.DeepEqual tells 0 from -0 nowhere, so the encodings are
// compared too.
func equal(have, want any) bool {
	if !reflect.DeepEqual(have, want) {
		return false
	}
	a, errA := json.Marshal(have)
	b, errB := json.Marshal(want)
	return bytes.Equal(a, b) && (errA == nil) == (errB == nil)
}

var shapes = []comparer{
	compare[tweet](), compare[three](), compare[whole](), compare[kinds](), compare[embeds](), compare[accents](),
	compare[*small](), compare[[]small](), compare[map[string]int](), compare[string](), compare[float64](),
	compare[any](), compare[[3]any](), compare[json.RawMessage](), compare[bool](), compare[[]byte](),
}

// A decoder that is always in doubt would pass every comparison.
func TestSure(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		`{}`, `{"id":1,"text":"a","user":{"screen_name":"b"},"entities":{"urls":[{"url":"c"}]},"more":[{},[]]}`,
		`{"ID":1,"Te\u0078t":"\ud83d\ude00","lang":null}`,
	} {
		if !compare[tweet]().compare(t, []byte(input)) {
			t.Errorf("%s: in doubt", input)
		}
	}
	for _, input := range seeds {
		if !compare[kinds]().compare(t, []byte(input)) {
			t.Errorf("%s: in doubt", input)
		}
	}
}

// These inputs are left to encoding/json, as the documentation of the package says.
func TestDoubt(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		``, `{`, `{"x":"1"}`, `{"x":1.0}`, `{"x":9223372036854775808}`, `{"y":["a"],"y":["b"]}`, `{} {}`,
		strings.Repeat(`{"z":`, 501) + "null" + strings.Repeat("}", 501),
		strings.Repeat(`{"q":`, 501) + "null" + strings.Repeat("}", 501),
	} {
		if compare[small]().compare(t, []byte(input)) {
			t.Errorf("%.40s: not in doubt", input)
		}
	}
}

func TestNastyInputs(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			for _, input := range nasty() {
				shape.compare(t, []byte(input))
			}
		})
	}
}
