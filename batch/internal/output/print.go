package output

import (
	"fmt"
	"io"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/gather"
	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// Format is how a batch is printed.
type Format struct {
	Rows   int    // at most
	Title  string // behind the time; may be empty
	NoKeys bool   // a row is its value
}

// Print writes the rows of each batch, which in returns with one row more than are
// printed. A batch is written after its commit: a crash in between loses it, and nothing
// is written twice.
func Print[K, V any](name func() string, in gather.List[K, V], w io.Writer, f Format) gather.Output {
	return whole(name, in, func(ctx wire.Context, b wire.Span, list []rows.Kept[K, V]) error {
		text := block(b, list, f)
		ctx.OnCommitted(func() {
			if _, err := w.Write(text); err != nil {
				ctx.Logger().Error("a batch could not be printed", "result", name(), "batch", b.End(), "error", err)
			}
		})
		return nil
	})
}

const rule = "-------------------------------------------\n"

// block formats a batch as Spark Streaming's print does.
func block[K, V any](b wire.Span, list []rows.Kept[K, V], f Format) []byte {
	text := append([]byte(rule+"Time: "), localTime(b.To)...)
	if f.Title != "" {
		text = append(append(text, "  "...), f.Title...)
	}
	text = append(text, "\n"+rule...)
	for _, k := range rows.Cut(list, f.Rows) {
		if f.NoKeys {
			text = fmt.Appendln(text, k.Value)
		} else {
			text = fmt.Appendf(text, "(%v,%v)\n", k.Key, k.Value)
		}
	}
	if len(list) > f.Rows {
		text = append(text, "...\n"...)
	}
	return append(text, '\n')
}

// localTime formats the end of a batch in local time, as PySpark's pprint does:
// 2026-11-29 02:51:30. The fraction of a second is left out if it is zero.
func localTime(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05.999") }
