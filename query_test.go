package millrace_test

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

// Whoever reads a table slowly does not hold up the end of the application, nor a rebalance: the partition goes, and the loop is told.
func TestSlowQueryHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	topo, table := counting(t)
	app := run(t, topo, c.config("app", t.TempDir()))
	c.send("in", values(0, 20)...)
	c.read("out", 20)
	rows := 0
	var last error
	for row, err := range millrace.Range(context.Background(), app.App, table, nil, nil) {
		if last = err; err != nil {
			break
		}
		if rows++; rows == 1 {
			app.stop()
			if row.Key != "v0" || row.Value != int64(c.countOf("v0", 20)) {
				t.Errorf("the row became %v", row)
			}
		}
	}
	if rows != 1 || !errors.Is(last, millrace.ErrNotHere) {
		t.Errorf("%d rows, and then %v", rows, last)
	}
}
