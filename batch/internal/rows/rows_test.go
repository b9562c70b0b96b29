package rows

import (
	"testing"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/serde"
)

// counting counts how often keys are decoded.
type counting struct {
	serde.Serde[string]
	decoded *int
}

func (c counting) Decode(data []byte) (string, error) {
	*c.decoded++
	return c.Serde.Decode(data)
}

// TestConvert sends rows through a filter and a map. A key is decoded once, and never
// decoded without a consumer.
func TestConvert(t *testing.T) {
	t.Parallel()
	source := &Source[string, int]{}
	odd := Convert(source, func(r Row[string, int]) (int, bool) { return r.Value, r.Value%2 == 1 })
	doubled := Convert(odd, func(r Row[string, int]) (int, bool) { return 2 * r.Value, true })
	if source.Instance(Sending, wire.Context{}) != nil {
		t.Error("there is a consumer, but nothing consumes")
	}
	var got []Row[string, int]
	doubled.Add(func(how Scan, _ wire.Context) *Consumer[string, int] {
		if how != Sending {
			return nil
		}
		return &Consumer[string, int]{
			Begin: func() {}, End: func(wire.Span) error { return nil },
			Row: func(_ wire.Span, r *Lazy[string, int]) error {
				seen, err := r.Get()
				got = append(got, seen)
				return err
			},
		}
	})
	if source.Instance(Selecting, wire.Context{}) != nil {
		t.Error("there is a consumer that selects, but it only sends")
	}
	decoded := 0
	to := source.Instance(Sending, wire.Context{})
	for i, key := range []string{"a", "b", "c", "d"} {
		row := NewLazy([]byte(key), serde.Serde[string](counting{serde.String, &decoded}), i)
		if err := to.Row(wire.Span{}, &row); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2 || got[0] != (Row[string, int]{"b", 2}) || got[1] != (Row[string, int]{"d", 6}) {
		t.Errorf("got %v", got)
	}
	if decoded != 4 {
		t.Errorf("4 keys were decoded %d times", decoded)
	}
}
