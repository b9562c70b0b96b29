package topology

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
)

// roomForTimes is how many bytes of names and numbers may go into the metadata of an
// offset. It is less than the maximum of the runtime, because the names of operator times
// and positions are only estimated here.
const roomForTimes = 2000

// addTimes adds a store for operator times to each sub-topology that may have too many of
// them for the metadata of its offsets. If a user's store already has the name of such a
// store, addTimes returns an error for it.
func addTimes(g *graph.Graph) error {
	var errs []error
	for _, sub := range g.SubTopologies {
		name := sub.Name + "-times"
		taken := slices.ContainsFunc(g.Stores, func(s *graph.Store) bool { return s.Name == name })
		switch {
		case timesOf(sub) <= roomForTimes:
			continue
		case taken:
			errs = append(errs, fmt.Errorf("topology: the name of store %q is needed for the operator times of sub-topology %s: give the store another name", name, sub.Name))
			continue
		}
		spec := store.TimesSpec(name)
		sub.Stores = append(sub.Stores, &graph.Store{Name: name, Spec: spec, Rows: graph.RowsOf(spec), Own: true})
	}
	return errors.Join(errs...)
}

// timesOf estimates the bytes that the times and positions of a sub-topology take: one
// for each store, another for a store whose rows expire, and one under its name for each
// stateful node and for each input of a cogroup. It does not count the positions that a
// user's processor sets, whose number is unknown.
func timesOf(sub *graph.SubTopology) (size int) {
	const number, prefix, positions = 4 + 8, 10, 60
	for _, s := range sub.Stores {
		size += number + prefix + len(s.Name)
		if s.Spec.Kind.Segmented {
			size += number + prefix + len(s.Name)
		}
	}
	for _, n := range sub.Nodes {
		if n.Final {
			size += number + prefix + len(n.Name)
		}
		switch {
		case n.Type == processOp, n.Type == processValuesOp, n.Type == processTableOp:
			size += number + prefix + len(n.Name) + positions
		case len(n.Stores) > 0, n.Type == "cogroup":
			size += number + len(n.Name)
		}
	}
	return size
}
