package batch_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

func panicked(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// A handle that was not made by a function of the package reports this, whatever method
// is called.
func TestZeroHandlesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	var b batch.Batches[string, string]
	var r batch.Result[string, int64]
	var o batch.Output
	upper := func(s string) string { return strings.ToUpper(s) }
	for name, c := range map[string]struct {
		use  func()
		want string
	}{
		"Batches.Count":     {func() { b.Count("c") }, "not made by Every"},
		"Batches.Filter":    {func() { b.Filter(func(string) bool { return true }) }, "not made by Every"},
		"Batches.Builder":   {func() { b.Builder() }, "not made by Every"},
		"batch.MapValues":   {func() { batch.MapValues(b, upper, serde.String) }, "not made by Every"},
		"batch.CountByKey":  {func() { batch.CountByValue(b, "c") }, "not made by Every"},
		"batch.ReduceByKey": {func() { batch.ReduceByKey(b, "c", func(a, _ string) string { return a }) }, "not made by Every"},
		"Result.Print":      {func() { r.Print(os.Stdout) }, "not made by Count"},
		"Result.Named":      {func() { r.Named("x") }, "not made by Count"},
		"Result.Window":     {func() { r.Window(time.Minute) }, "not made by Count"},
		"Result.Top":        {func() { r.Top(1) }, "not made by Count"},
		"Result.To":         {func() { r.To("x") }, "not made by Count"},
		"Result.Filter":     {func() { r.Filter(func(batch.Row[string, int64]) bool { return true }) }, "not made by Count"},
		"Output.Named":      {func() { o.Named("x") }, "not made by Print"},
	} {
		if got := panicked(c.use); !strings.Contains(got, c.want) {
			t.Errorf("%s panics with %q, want %q in it", name, got, c.want)
		}
	}
}

func TestEveryNeedsANameOfItsOwn(t *testing.T) {
	t.Parallel()
	b := topology.New()
	s := topology.Source(b, "in", serde.String, serde.String)
	batch.Every(s, "", time.Second).Count("a").Print(os.Stdout)
	batch.Every(s, "five", 5*time.Second).Count("b").Print(os.Stdout)
	batch.Every(s, "five", 5*time.Second).Count("c").Print(os.Stdout)
	_, err := b.Build()
	for _, want := range []string{"batch: Every: needs a name", `batch: the name "five" is used by Every and by Every`} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("Build says\n%v\nwant %q in it", err, want)
		}
	}
}
