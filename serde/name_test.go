package serde_test

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
)

// counting is a custom serde without a String method. Its fields change while it is in
// use.
type counting struct {
	serde.Serde[string]
	calls *int
}

func TestName(t *testing.T) {
	t.Parallel()
	mine := counting{serde.String, new(int)}
	for want, s := range map[string]any{
		"none":                                   nil,
		"string":                                 serde.String,
		"json int":                               serde.JSON[int](),
		"json bool":                              serde.JSONWith[bool](nil, nil),
		"serde_test.counting":                    mine,
		"nullable serde_test.counting":           serde.Nullable[string](mine),
		"time-windowed (1s) serde_test.counting": serde.TimeWindowed[string](mine, time.Second),
	} {
		if got := serde.Name(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFormatName(t *testing.T) {
	t.Parallel()
	type secret struct{ serde.Serde[string] }
	for want, s := range map[string]any{
		"int64":                          serde.Int64,
		"json":                           serde.JSON[struct{ A int }](),
		"nullable json":                  serde.Nullable(serde.JSON[int]()),
		"nullable nullable json":         serde.Nullable(serde.Nullable(serde.JSONWith[int](nil, nil))),
		"nullable ?":                     serde.Nullable(serde.Serde[string](secret{serde.String})),
		"?":                              secret{serde.String},
		"session-windowed nullable json": serde.SessionWindowed(serde.Nullable(serde.JSON[int]())),
	} {
		if got := serde.FormatName(s); got != want {
			t.Errorf("%T: got %q, want %q", s, got, want)
		}
	}
}
