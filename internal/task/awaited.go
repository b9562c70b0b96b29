package task

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
)

// awaited reports whether somebody may wait for the effects of a record that reaches node
// n, even if the record is not sent to a topic: queries of a store wait, for example, or
// readers of what a processor holds back.
//
// Nobody waits if every way of the record ends at a patient processor, or at a sink,
// where Send tells. A node that only passes records on has no effect.
func awaited(n *graph.Node, instances map[*graph.Node]any) bool {
	if p, ok := instances[n].(graph.PatientNode); ok {
		return !p.Patient()
	}
	if n.Kind != graph.Source && len(n.Children) == 0 || len(n.Stores) > 0 {
		return true
	}
	return slices.ContainsFunc(n.Children, func(child *graph.Node) bool { return awaited(child, instances) })
}
