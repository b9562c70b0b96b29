package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topologytest"
)

func (b *builder) addStore(o op) error {
	s, err := newStore(o, b.cached)
	if err != nil {
		return err
	}
	if b.stores[s.name] != nil {
		return fmt.Errorf("%w store %s", errTwice, s.name)
	}
	b.stores[s.name] = s
	return nil
}

// process handles processValues too.
func (b *builder) process(o op) error {
	s, err := b.from(o, "processor stores key value name")
	if err != nil {
		return err
	}
	var stores []*store
	var specs []processor.StoreSpec
	for _, name := range o.texts("stores") {
		if b.stores[name] == nil {
			return b.noStore(name, o.child("processor"))
		}
		stores = append(stores, b.stores[name])
		specs = append(specs, b.stores[name].spec)
	}
	p, err := newScript(o.child("processor"), stores, specs, b.built.punctuations)
	if err != nil {
		return err
	}
	if global, ok := b.globalOf(o.child("processor")); ok {
		p.global, p.attached = global, append(p.attached, global)
	}
	keys, err := keysOf(o, s)
	if err != nil {
		return err
	}
	values, err := valuesOf(o, s)
	if err != nil {
		return err
	}
	name := o.text("name")
	if name == "" {
		name = "process-" + o.id()
	}
	if o.text("op") == "processValues" {
		b.streams[o.id()] = s.processValues(name, p, values)
	} else {
		b.streams[o.id()] = s.process(name, p, keys, values)
	}
	for _, s := range stores {
		b.addReader(s.reader)
	}
	return nil
}

// errTableWritten is the error of a processor that writes the store of a table. In a Go
// program it is an error of the compiler: state.OpenTable returns a reader.
var errTableWritten = errors.New("a processor writes the store of a table")

// noStore returns the error of a processor whose store was not added. In Kafka Streams
// the store may belong to a table. All kinds of processors that have stores write them,
// except one, which does what the records say.
func (b *builder) noStore(name string, processor op) error {
	isTable := func(o op) bool { return o.child("materialized").text("name") == name }
	switch {
	case !slices.ContainsFunc(b.c.Topology, isTable):
		return fmt.Errorf("%w store %s", errUnknown, name)
	case processor.text("kind") == "store-cmd" && !slices.ContainsFunc(b.c.Steps, writes):
		return notYet("a processor that reads the store of a table")
	}
	return errTableWritten
}

// writes reports whether a step sends a command of the processor store-cmd that writes.
func writes(s step) bool {
	command, _, _ := strings.Cut(strings.Trim(string(s.Value), `"`), " ")
	return strings.HasPrefix(command, "put") || strings.HasPrefix(command, "delete") || command == "remove"
}

// addUnused adds readers for the stores that no processor uses. Kafka Streams creates
// those stores too.
func (b *builder) addUnused() {
	for _, s := range b.stores {
		b.addReader(storeReader{s.name, s.keys, s.values, func(*topologytest.Driver) ([]row, error) { return nil, nil }})
	}
}

func (b *builder) addReader(r storeReader) {
	if !slices.ContainsFunc(b.built.stores, func(other storeReader) bool { return other.name == r.name }) {
		b.built.stores = append(b.built.stores, r)
	}
}
