package engine

import (
	"math"
	"testing"
)

func TestLater(t *testing.T) {
	t.Parallel()
	const last = math.MaxInt64
	for _, tc := range []struct{ at, by, want int64 }{
		{5, 3, 8}, {5, -8, -3}, {-1, 0, -1}, {-1, last, last - 1}, {last, 0, last}, {last, 1, last},
		{last - 1, 1, last}, {1, last, last}, {last, last, last}, {last, -1, last - 1},
	} {
		if got := Later(tc.at, tc.by); got != tc.want {
			t.Errorf("%d later by %d: %d, want %d", tc.at, tc.by, got, tc.want)
		}
	}
}
