// Package needtest says how a test ends if something that it needs is not there.
package needtest

import (
	"fmt"
	"os"
	"testing"
)

// Missing ends a test. The text says what is missing, and how to provide it. If the
// environment variable CI is set, the test fails, so that no check is left out unseen.
// Otherwise it is skipped.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if os.Getenv("CI") != "" {
		t.Fatal("in CI this test must run: " + text)
		return
	}
	t.Skip(text)
}
