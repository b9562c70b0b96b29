package jsonscan_test

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde/internal/jsonscan"
)

type (
	quoted struct {
		A int `json:",string"`
	}
	later struct {
		A int `json:",case:ignore"`
	}
	unusual struct {
		A int `json:"é"`
	}
	recursive struct {
		//lint:ignore U1000 only its type matters
		*recursive
		A int
	}
	twice struct {
		left
		right
	}
	left   struct{ shared }
	right  struct{ shared }
	shared struct{ A int }
	tagged struct {
		shared `json:"s"`
	}
	promoted struct {
		time.Time
		A int
	}
	mine       struct{ A int }
	text       string
	future     struct{ A int }
	deepWithin struct{ A []map[string]*mine }
)

func (*mine) UnmarshalJSON([]byte) error    { return nil }
func (text) UnmarshalText([]byte) error     { return nil }
func (*future) UnmarshalJSONFrom(any) error { return nil }

// Types without a plan are left to encoding/json, whatever the input is.
func TestNoPlan(t *testing.T) {
	t.Parallel()
	noPlan[quoted](t)
	noPlan[later](t)
	noPlan[unusual](t)
	noPlan[recursive](t)
	noPlan[twice](t)
	noPlan[tagged](t)
	noPlan[promoted](t)
	noPlan[mine](t)
	noPlan[text](t)
	noPlan[future](t)
	noPlan[deepWithin](t)
	noPlan[big.Int](t)
	noPlan[map[int]string](t)
	noPlan[map[text]string](t)
	noPlan[map[netip.Addr]string](t)
	noPlan[json.Unmarshaler](t)
	noPlan[error](t)
	noPlan[func()](t)
	noPlan[chan int](t)
	noPlan[complex128](t)
	noPlan[uintptr](t)
	noPlan[struct{ A struct{ B func() } }](t)
}

func noPlan[T any](t *testing.T) {
	t.Helper()
	for _, input := range []string{`null`, `{}`, `[]`, `""`, `1`} {
		if v, ok := jsonscan.For[T]().Decode([]byte(input)); ok {
			t.Errorf("%T: decoded %s", v, input)
		}
	}
}

// Every type that is compared with encoding/json has a plan: null is valid for all.
func TestPlan(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		if !shape.compare(t, []byte("null")) {
			t.Errorf("%s: no plan", shape.name)
		}
	}
}
