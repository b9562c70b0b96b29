package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestPartsOnRealKafka runs the tests of other packages that need a real broker. They
// test parts of the library that no application can call.
func TestPartsOnRealKafka(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	packages := []string{"internal/restore", "internal/topics", "internal/txn"}
	args := []string{"test", "-vet=off", "-count=1", "-v", "-run", "^TestRealBroker$"}
	for _, name := range packages {
		args = append(args, "../"+name)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "MILLRACE_BROKERS="+c.brokers)
	out, err := cmd.CombinedOutput()
	if passed := strings.Count(string(out), "\n--- PASS: TestRealBroker "); err != nil || passed != len(packages) {
		t.Errorf("%d of %d packages passed (%v):\n%s", passed, len(packages), err, out)
	}
}
