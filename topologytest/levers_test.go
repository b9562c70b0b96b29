package topologytest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/millrace-streams/millrace/internal/seam"
)

// leversVariable lets all tests of the package run with one of the levers that make
// Millrace fast the other way round:
//
//   - "no-shortcuts": stores look up every row, and read every row of the database.
//   - "combining": tasks combine records before they send them, as an application does.
//
// The results must be the same.
const leversVariable = "MILLRACE_LEVERS"

func TestMain(m *testing.M) {
	switch levers := os.Getenv(leversVariable); levers {
	case "":
	case "no-shortcuts":
		seam.SetLevers(false, false)
	case "combining":
		seam.SetLevers(true, true)
	default:
		fmt.Fprintf(os.Stderr, "%s=%s: want no-shortcuts or combining\n", leversVariable, levers)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// looksAtRepartitionTopic skips a test that looks at the records of a repartition topic,
// if they are combined.
func looksAtRepartitionTopic(t *testing.T) {
	t.Helper()
	// Because the variable is read in a test, results for another value are not cached.
	if os.Getenv(leversVariable) == "combining" {
		t.Skip("the records are combined")
	}
}
