package operator

import (
	"reflect"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// FuzzBuffered decodes any bytes. If they can be decoded, encoding and decoding the
// result must give the same value.
func FuzzBuffered(f *testing.F) {
	values := BufferedValues(serde.String)
	there := func(s string) Version { return Version{s, true} }
	for _, b := range []Buffered{
		{},
		{Slot: 10, Timestamp: 9, Topic: "in", Offset: 2, New: there("new")},
		{Topic: "in", Headers: processor.Headers{{Key: "h", Value: []byte("x")}, {Key: "none"}}, Prior: there(""), Old: there(""), New: there("n")},
		{Prior: there("p"), Old: there("o")},
	} {
		data, err := values.Append(nil, b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := values.Decode(data)
		if err != nil {
			return
		}
		again, err := values.Append(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := values.Decode(again)
		if err != nil {
			t.Fatalf("%x has become %x: %v", data, again, err)
		}
		if back.size = b.size; !reflect.DeepEqual(back, b) {
			t.Fatalf("%+v has become %+v", b, back)
		}
	})
}
