package engine

import "math"

// Later returns the time that is by ms after at, but at most the last time there is. All
// code that moves a time forward calls it: a sum that overflows would lie before every
// row. If by is negative, the time is earlier, and may be negative.
func Later(at, by int64) int64 {
	if by > 0 && at > math.MaxInt64-by {
		return math.MaxInt64
	}
	return at + by
}
