// Package seedtest has the random numbers of tests that do something else at each run.
package seedtest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Rand returns the random numbers of a test: from the seed in MILLRACE_SEED, or from the
// clock. A run that has failed says how to repeat its choices; pkg is the test's package
// as the go command takes it at the module's root. What the machine does meanwhile is not
// repeated.
func Rand(t testing.TB, pkg string) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MILLRACE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("again with the same choices: MILLRACE_SEED=%d go test -run '^%s$' %s", seed, strings.ReplaceAll(t.Name(), "/", "$/^"), pkg)
	return rand.New(rand.NewPCG(seed, 0))
}

// Seeds returns how many seeds a property test runs: n, or MILLRACE_SEEDS if that is set.
func Seeds(t testing.TB, n int) uint64 {
	t.Helper()
	s := os.Getenv("MILLRACE_SEEDS")
	if s == "" {
		return uint64(n)
	}
	seeds, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("MILLRACE_SEEDS: %v", err)
	}
	return seeds
}
