package needtest

import (
	"fmt"
	"testing"
)

// recorder notes how a test ends.
type recorder struct {
	testing.TB
	end string
}

func (r *recorder) Helper()           {}
func (r *recorder) Fatal(args ...any) { r.end += "fails: " + fmt.Sprint(args...) }
func (r *recorder) Skip(args ...any)  { r.end += "skipped: " + fmt.Sprint(args...) }

func TestMissing(t *testing.T) {
	for ci, want := range map[string]string{"true": "fails: in CI this test must run: no 5", "": "skipped: no 5"} {
		t.Setenv("CI", ci)
		r := &recorder{}
		if Missing(r, "no %d", 5); r.end != want {
			t.Errorf("with CI=%q the test %s", ci, r.end)
		}
	}
}
