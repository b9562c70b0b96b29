package seedtest

import (
	"slices"
	"testing"
)

func TestSeeds(t *testing.T) {
	for env, want := range map[string][]uint64{"": {0, 1, 2, 3, 4}, "3": {0, 1, 2}, "5-7": {5, 6}, "7-5": nil} {
		if env == "" && testing.Short() {
			want = want[:2]
		}
		t.Setenv("MILLRACE_SEEDS", env)
		var got []uint64
		Run(t, 5, func(_ *testing.T, seed uint64) { got = append(got, seed) })
		if !slices.Equal(got, want) {
			t.Errorf("MILLRACE_SEEDS=%q: %d, want %d", env, got, want)
		}
	}
	for _, wrong := range []string{"many", "1-", "-3", "1-2-3"} {
		if _, _, err := parseSeeds(wrong, 2); err == nil {
			t.Errorf("MILLRACE_SEEDS=%q is accepted", wrong)
		}
	}
}

// What a seed opens is closed before the next one begins.
func TestSeedsCleanUp(t *testing.T) {
	open := 0
	Run(t, 3, func(t *testing.T, seed uint64) {
		if open++; open != 1 {
			t.Errorf("seed %d: %d are open", seed, open)
		}
		t.Cleanup(func() { open-- })
	})
}
