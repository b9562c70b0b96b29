package seedtest

import (
	"slices"
	"testing"
)

func TestSeeds(t *testing.T) {
	for env, want := range map[string][]uint64{"": {0, 1}, "3": {0, 1, 2}, "5-7": {5, 6}, "7-5": nil} {
		t.Setenv("MILLRACE_SEEDS", env)
		if got := slices.Collect(Seeds(t, 2)); !slices.Equal(got, want) {
			t.Errorf("MILLRACE_SEEDS=%q: %d, want %d", env, got, want)
		}
	}
	for _, wrong := range []string{"many", "1-", "-3", "1-2-3"} {
		if _, _, err := parseSeeds(wrong, 2); err == nil {
			t.Errorf("MILLRACE_SEEDS=%q is accepted", wrong)
		}
	}
}
