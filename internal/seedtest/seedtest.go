// Package seedtest has the random numbers of tests that do something else at each run,
// and the seeds of property tests.
package seedtest

import (
	"fmt"
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
	t.Logf("again with the same choices: MILLRACE_SEED=%d go test -run '%s' %s", seed, pattern(t), pkg)
	return rand.New(rand.NewPCG(seed, 0))
}

// Run runs a property test with each of its seeds, as subtests one after the other, up to
// the first that fails. What a seed opens is closed at its end.
//
// The seeds are those below n. With -short they are those below a quarter of n.
// MILLRACE_SEEDS asks for others: "10000" for those below 10,000, "500-600" for those
// from 500 to 599.
func Run(t *testing.T, n int, test func(t *testing.T, seed uint64)) {
	t.Helper()
	if testing.Short() {
		n = (n + 3) / 4
	}
	from, to, err := parseSeeds(os.Getenv("MILLRACE_SEEDS"), uint64(n))
	if err != nil {
		t.Fatalf("MILLRACE_SEEDS: %v", err)
	}
	for seed := from; seed < to; seed++ {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { test(t, seed) }) {
			t.Fatalf("again, in the directory of the package: MILLRACE_SEEDS=%d-%d go test -run '%s'", seed, seed+1, pattern(t))
		}
	}
}

// pattern returns the argument of -run that selects the test.
func pattern(t testing.TB) string { return "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$" }

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
