// Package seedtest has the random numbers of tests that do something else at each run.
package seedtest

import (
	"iter"
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

// Seeds returns the seeds that a property test runs: those below n. MILLRACE_SEEDS asks
// for others: "10000" for those below 10,000, "500-600" for those from 500 to 599. A test
// keeps what its seeds have opened until its end, so a large number is run in parts.
func Seeds(t testing.TB, n int) iter.Seq[uint64] {
	t.Helper()
	from, to, err := parseSeeds(os.Getenv("MILLRACE_SEEDS"), uint64(n))
	if err != nil {
		t.Fatalf("MILLRACE_SEEDS: %v", err)
	}
	return func(yield func(uint64) bool) {
		for seed := from; seed < to && yield(seed); seed++ {
		}
	}
}

func parseSeeds(s string, n uint64) (from, to uint64, err error) {
	if s == "" {
		return 0, n, nil
	}
	if first, last, ok := strings.Cut(s, "-"); ok {
		if from, err = strconv.ParseUint(first, 10, 64); err != nil {
			return 0, 0, err
		}
		s = last
	}
	to, err = strconv.ParseUint(s, 10, 64)
	return from, to, err
}
