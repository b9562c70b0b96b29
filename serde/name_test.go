package serde_test

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
)

// counting is a serde of a user's that changes while it is used, and has no String.
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
		"serde_test.counting":                    mine,
		"nullable serde_test.counting":           serde.Nullable[string](mine),
		"time-windowed (1s) serde_test.counting": serde.TimeWindowed[string](mine, time.Second),
	} {
		if got := serde.Name(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
