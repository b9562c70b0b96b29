package main

import (
	"fmt"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// send sends a result. Its key becomes "operator key", its value text. The text of a row
// that was deleted is the zero value: "" or 0.
func send[V any](e *everything, operator string, s topology.Stream[string, V]) {
	topology.Map(s, func(r processor.Record[string, V]) processor.Record[string, string] {
		return processor.NewRecord(operator+" "+r.Key, fmt.Sprint(r.Value), r.Timestamp)
	}, serde.String, serde.String).To(e.out)
}

// sendWindows sends the rows of windows, as "operator key start end".
func sendWindows[V any](e *everything, operator string, s topology.Stream[serde.Windowed[string], V]) {
	send(e, operator, topology.SelectKey(s, func(r processor.Record[serde.Windowed[string], V]) string {
		return fmt.Sprintf("%s %d %d", r.Key.Key, r.Key.Window.Start, r.Key.Window.End)
	}, serde.String))
}
