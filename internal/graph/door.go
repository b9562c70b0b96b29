package graph

import "fmt"

// open returns the graph of a *topology.Topology. Package topology sets it while it is
// initialised.
var open = func(any) (*Graph, bool) { return nil, false }

// OpenWith is called by package topology, once, with the function that takes the graph
// out of a topology. A function passed this way keeps internal types out of topology's
// exported signatures.
func OpenWith(f func(topology any) (*Graph, bool)) { open = f }

// Of returns the graph of a *topology.Topology.
func Of(topology any) (*Graph, error) {
	g, ok := open(topology)
	if !ok {
		return nil, fmt.Errorf("%T is not a topology made by Builder.Build", topology)
	}
	return g, nil
}
