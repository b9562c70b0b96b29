package conformance

import (
	"slices"

	"github.com/millrace-streams/millrace/topology"
)

// table makes the table of a topic. Kafka Streams keeps its rows only if the case says
// so, or if an operation on the table needs the old rows.
func (b *builder) table(o op) error {
	if err := o.knows("topic key value extractor materialized"); err != nil {
		return err
	}
	keys, values, err := keyAndValue(o.text("key"), o.text("value"))
	if err != nil {
		return err
	}
	source, err := extractor(o.text("extractor"))
	if err != nil {
		return err
	}
	make := func(store ...topology.SourceTableOption) table {
		for _, opt := range source {
			store = append(store, opt)
		}
		return tableOf[any, any]{topology.SourceTable[any, any](b.b, o.text("topic"), keys, values, store...), keys, values}
	}
	kept, named := b.needsStore(o.id()), len(o.child("materialized")) > 0
	if (kept || named) && b.sourceIsChangelog(o, keys) {
		return b.sourceTable(o, make, topology.SourceAsChangelog())
	}
	b.built.ownChangelogs[o.id()] = optimizes(b.c, reuseSource)
	if named || !kept || b.isName(o.text("topic")) {
		return b.keep(o, make(topology.WithoutStore()), o.text("topic")+"-STATE-STORE")
	}
	return b.sourceTable(o, make)
}

// sourceTable adds the table of a topic, with options. Millrace names the store after the
// topic.
func (b *builder) sourceTable(o op, make func(...topology.SourceTableOption) table, options ...topology.SourceTableOption) error {
	m := o.child("materialized")
	theirs := m.text("name")
	if theirs == "" {
		theirs = b.names.next(o.text("topic")+"-STATE-STORE", o.id())
	}
	b.names.call(theirs, o.text("topic"))
	opts, err := b.materialized(m)
	for _, opt := range opts.all {
		options = append(options, opt)
	}
	b.tables[o.id()] = make(options...)
	b.built.stores = append(b.built.stores, b.tables[o.id()].content())
	return err
}

// isName reports whether the case gives a name to an operation or to a store.
func (b *builder) isName(name string) bool {
	return slices.ContainsFunc(b.c.Topology, func(o op) bool {
		return o.text("name") == name || o.child("materialized").text("name") == name
	})
}

func (b *builder) toTable(o op) error {
	s, err := b.from(o, "name materialized")
	if err != nil {
		return err
	}
	name := o.text("name")
	if name == "" {
		name = b.names.next("KSTREAM-TOTABLE", o.id())
	}
	if s = b.shared(o.text("from"), s, func() string { return name }); s.isRekeyed() {
		s = s.countNullKeys(b.built.nullKeys)
	}
	return b.keep(o, s.toTable(name), "KSTREAM-TOTABLE-STATE-STORE")
}

// keep adds a table, and the store of its own that it has in Kafka Streams, if any. role
// is what a store without a name is called after. Without a role there is none.
func (b *builder) keep(o op, t table, role string) error {
	m := o.child("materialized")
	name := m.text("name")
	if name == "" && role != "" && b.needsStore(o.id()) {
		name = b.names.next(role, o.id())
	}
	b.tables[o.id()] = t
	if name == "" {
		return m.only("a table without a store", "")
	}
	opts, err := b.materialized(m)
	if err != nil {
		return err
	}
	t = t.stored(name, opts)
	b.tables[o.id()] = t
	if !opts.isVersioned { // the corpus does not list versioned stores
		b.built.stores = append(b.built.stores, t.content())
	}
	return nil
}

// needsStore reports whether an operation on a table needs the old rows, or looks rows
// up.
func (b *builder) needsStore(id string) bool {
	for _, o := range b.c.Topology {
		if o.text("from") != id && o.text("with") != id {
			continue
		}
		switch o.text("op") {
		case "filter", "filterNot", "mapValues", "transformValues":
			if !o.has("materialized") && b.needsStore(o.id()) {
				return true
			}
		case "toStream":
		default:
			return true
		}
	}
	return false
}

func (b *builder) filterTable(o op, t table, p predicate) error {
	if err := o.knows("fn name materialized"); err != nil {
		return err
	}
	return b.keep(o, t.filter(p, o.named()), "")
}

// mapTable is mapValues, which is not called for null, and transformValues, which is.
func (b *builder) mapTable(o op) error {
	if err := o.knows("fn value name materialized"); err != nil {
		return err
	}
	t := b.tables[o.text("from")]
	if t == nil {
		return notYet("%s of a table that Millrace does not have", o.text("op"))
	}
	f, err := valueMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	values, err := serdeOr(o.text("value"), t.valueSerde())
	if err != nil {
		return err
	}
	called := f
	if o.text("op") == "mapValues" {
		called = func(k, v any) (any, error) {
			if v == nil {
				return nil, nil
			}
			return f(k, v)
		}
	}
	return b.keep(o, t.mapValues(called, values, o.named()), "")
}
