package taskid_test

import (
	"testing"

	"github.com/millrace-streams/millrace/internal/taskid"
)

func TestIDAsText(t *testing.T) {
	t.Parallel()
	for _, task := range []taskid.ID{taskid.Of(0, 0), taskid.Of(0, 3), taskid.Of(12, 255), taskid.Of(1<<31-1, 1<<31-1)} {
		if got, err := taskid.Parse(task.String()); err != nil || got != task {
			t.Errorf("%v: got %v, %v", task, got, err)
		}
	}
	for _, bad := range []string{"", "_", "0", "0_", "_3", "0_-1", "-1_0", "+1_0", "00_1", "0_01", "0_3_4", "0_2147483648", " 0_1", "a_b"} {
		if got, err := taskid.Parse(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

// A name that can be read is the name of the task that was read.
func FuzzParse(f *testing.F) {
	f.Add("0_3")
	f.Add("00_1")
	f.Add("1_2_3")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := taskid.Parse(text); err == nil && id.String() != text {
			t.Fatalf("%q is read as %v", text, id)
		}
	})
}
