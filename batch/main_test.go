package batch_test

import (
	"os"
	"testing"
	"time"
)

// TestMain fixes the local time zone: Print writes local time, and the examples' output
// is compared as text.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// printed is a time as Print writes it.
func printed(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05.999") }
