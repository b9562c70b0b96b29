package conformance

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topology"
)

// The Processor API names nodes and connects them by name. Millrace passes handles
// instead. The nodes of a case become calls of Process and To on the streams of their
// parents.

// processorAPI builds a topology of the Processor API.
func (b *builder) processorAPI() error {
	given, err := b.connections()
	if err != nil {
		return err
	}
	for _, o := range b.c.Topology {
		switch o.text("op") {
		case "source":
			err = errors.Join(o.knows("name topics key value"), b.source(o, o.texts("topics")))
		case "processor":
			err = b.processor(o, given[o.text("name")])
		case "sink":
			err = b.sink(o)
		case "store", "connect":
		default:
			err = notYet("operation %s", o.text("op"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// connections adds the stores, and returns the stores of each processor. Millrace needs
// them together with the processor; Kafka Streams accepts them later.
func (b *builder) connections() (map[string][]string, error) {
	given := map[string][]string{}
	added := map[string]bool{} // processors added so far
	connect := func(processor, store string) error {
		switch {
		case !added[processor]:
			return fmt.Errorf("%w processor %s", errUnknown, processor)
		case b.stores[store] == nil:
			return fmt.Errorf("%w store %s", errUnknown, store)
		case !slices.Contains(given[processor], store):
			given[processor] = append(given[processor], store)
		}
		return nil
	}
	for _, o := range b.c.Topology {
		var stores, processors []string
		var err error
		switch o.text("op") {
		case "processor":
			added[o.text("name")] = true
		case "store":
			err = b.addStore(o)
			stores, processors = o.texts("name"), o.texts("processors")
		case "connect":
			err = o.knows("processor processors store stores")
			stores, processors = append(o.texts("store"), o.texts("stores")...), append(o.texts("processor"), o.texts("processors")...)
		}
		for _, s := range stores {
			for _, p := range processors {
				err = errors.Join(err, connect(p, s))
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return given, nil
}

// Mistakes in names. They cannot occur in Millrace's API, which passes handles.
var (
	errUnknown = errors.New("there is no")
	errTwice   = errors.New("there is already a")
)

// input returns the merged streams of a node's parents. If there are several parents, the
// records from each one pass through a separate node, so that a parent can forward to the
// node by name (see routes). The streams after these nodes are untyped.
func (b *builder) input(o op) (stream, error) {
	parents := o.texts("from")
	var in stream
	for _, parent := range parents {
		s := b.streams[parent]
		if s == nil {
			return nil, fmt.Errorf("%w node %s", errUnknown, parent)
		}
		if len(parents) > 1 {
			s = s.flatMap(same, untyped, untyped, []topology.Option{topology.Named(between(parent, o.text("name")))})
		}
		if in == nil {
			in = s
			continue
		}
		var err error
		if in, err = in.merge(s); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func same(k, v any) ([]pair, error) { return []pair{{k, v}}, nil }

func between(parent, child string) string { return parent + "-to-" + child + joint }

// routes returns the names of the nodes between a node and its children, where there is
// one.
func (b *builder) routes(parent string) map[string]string {
	out := map[string]string{}
	for _, o := range b.c.Topology {
		if parents := o.texts("from"); len(parents) > 1 && slices.Contains(parents, parent) {
			out[o.text("name")] = between(parent, o.text("name"))
		}
	}
	return out
}

func (b *builder) processor(o op, given []string) error {
	if err := o.knows("name processor stores"); err != nil {
		return err
	}
	in, err := b.input(o)
	if err != nil {
		return err
	}
	var stores []*store
	for _, name := range o.texts("stores") {
		s := b.stores[name]
		if s == nil {
			s = &store{name: name} // using it fails
		}
		stores = append(stores, s)
	}
	var specs []processor.StoreSpec
	for _, name := range given {
		if s := b.stores[name]; s != nil {
			specs = append(specs, s.spec)
			b.addReader(s.reader)
		}
	}
	p, err := newScript(o.child("processor"), stores, specs, b.built.punctuations)
	if err != nil {
		return err
	}
	p.routes = b.routes(o.text("name"))
	b.streams[o.text("name")] = in.process(o.text("name"), p, untyped, untyped)
	return nil
}

// sink gives the records the serdes of the sink, because a stream has none in the
// Processor API. The sink of a case therefore becomes two nodes. The first one has its
// name.
func (b *builder) sink(o op) error {
	if err := o.knows("name topic key value"); err != nil {
		return err
	}
	in, err := b.input(o)
	if err != nil {
		return err
	}
	keys, values, err := keyAndValue(o.text("key"), o.text("value"))
	if err != nil {
		return err
	}
	name := o.text("name")
	in.flatMap(same, keys, values, []topology.Option{topology.Named(name)}).to(o.text("topic"), []topology.SinkOption{topology.Named(name + ownSuffix)})
	return nil
}

// untyped is the serde of a stream without serdes. Nothing is encoded with it.
var untyped = &dynamic{
	name:  "untyped",
	write: func(dst []byte, v any) ([]byte, error) { return dst, fmt.Errorf("a %T without a serde", v) },
	hash:  func(dst []byte, v any) ([]byte, error) { return dst, fmt.Errorf("a %T without a serde", v) },
	read:  func([]byte) (any, error) { return nil, errors.New("no serde") },
}
