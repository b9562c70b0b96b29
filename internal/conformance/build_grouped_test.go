package conformance

import (
	"time"

	"github.com/millrace-streams/millrace/topology"
)

// group is a grouped stream. Millrace names a grouping where Kafka Streams names its repartition topic after the aggregation if it has no name of
// its own; so a group without a name is made anew for each of its aggregations, when their names are known.
type group struct {
	name    string
	make    func(name string) grouped
	made    grouped
	windows *topology.Windows
}

func (b *builder) groupBy(o op) error {
	s, err := b.from(o, "fn key name")
	if err != nil {
		return err
	}
	g := &group{name: o.text("name"), make: func(name string) grouped {
		if s.isRekeyed() {
			return s.countNullKeys(b.built.nullKeys).groupByKey(name)
		}
		return s.groupByKey(name)
	}}
	b.groups[o.id()] = g
	if o.text("op") == "groupByKey" {
		if s.isRekeyedByUs() {
			return notYet("groupByKey after an operator for values that Millrace has for records only")
		}
		return nil
	}
	f, err := keyMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	keys, err := keysOf(o, s)
	key := func(k, v any) (any, error) {
		key, err := f(k, v)
		if key == nil && err == nil {
			*b.built.nullKeys++
		}
		return key, err
	}
	g.make = func(name string) grouped { return s.groupBy(name, key, keys) }
	return err
}

// open returns the grouped stream for an aggregation whose table has the name.
func (g *group) open(n *names, table string) grouped {
	if g.name == "" {
		return g.make(n.grouping(table, true))
	}
	if g.made == nil {
		g.made = g.make(n.grouping(g.name, false))
	}
	return g.made
}

func (b *builder) windowedBy(o op) error {
	if err := o.knows("window"); err != nil {
		return err
	}
	g := b.groups[o.text("from")]
	if g == nil {
		return notYet("windowedBy of a cogroup")
	}
	w, err := windowsOf(o.child("window"))
	if err != nil {
		return err
	}
	windowed := *g
	windowed.windows = &w
	b.groups[o.id()] = &windowed
	return nil
}

func windowsOf(o op) (w topology.Windows, err error) {
	ms := func(name string) time.Duration { return time.Duration(o.ms(name)) * time.Millisecond }
	switch o.text("type") {
	case "tumbling":
		w = topology.Tumbling(ms("size"))
	case "hopping":
		w = topology.Hopping(ms("size"), ms("advance"))
	case "unlimited":
		return topology.Unlimited(time.UnixMilli(o.ms("start"))), nil
	default:
		return w, notYet("%s windows", o.text("type"))
	}
	return w.Grace(ms("grace")), nil
}

// aggregate is count, reduce and aggregate.
func (b *builder) aggregate(o op) error {
	if err := o.knows("name materialized fn init value"); err != nil {
		return err
	}
	g := b.groups[o.text("from")]
	if g == nil {
		return notYet("%s of a grouped table", o.text("op"))
	}
	m := o.child("materialized")
	opts, err := b.materialized(m)
	if err != nil {
		return err
	}
	name := m.text("name")
	if name == "" {
		role := "KSTREAM-AGGREGATE-STATE-STORE"
		if o.text("op") == "reduce" {
			role = "KSTREAM-REDUCE-STATE-STORE"
		}
		name = b.names.next(role, o.id())
	}
	plain := g.open(b.names, name)
	var from folded = plain
	if g.windows != nil {
		if from, err = plain.window(*g.windows); err != nil {
			return err
		}
	}
	t, err := aggregateInto(o, from, name, opts)
	if err != nil {
		return err
	}
	b.tables[o.id()] = t
	b.built.stores = append(b.built.stores, t.content())
	return nil
}

func aggregateInto(o op, from folded, name string, opts tableOptions) (table, error) {
	switch o.text("op") {
	case "count":
		return from.count(name, opts), nil
	case "reduce":
		f, err := reducerOf(o.text("fn"))
		return from.reduce(name, f, opts), err
	}
	initial, err := initializerOf(o.text("init"))
	if err != nil {
		return nil, err
	}
	f, err := aggregatorOf(o.text("fn"))
	if err != nil {
		return nil, err
	}
	values, err := serdeOr(o.text("value"), from.valueSerde())
	return from.aggregate(name, initial, f, values, opts), err
}

// materialized reads the options of a table's store. Without a cache every update is forwarded.
func (b *builder) materialized(m op) (o tableOptions, err error) {
	if err := m.knows("name type retention logging caching"); err != nil {
		return o, notYet("a materialized %v", err)
	}
	add := func(when bool, opt topology.StoreOption) {
		if when {
			o.all = append(o.all, opt)
		}
	}
	add(m.text("type") == "in-memory", topology.InMemory())
	add(m.isOff("logging"), topology.WithoutChangelog())
	add(!b.cached || m.isOff("caching"), topology.EveryUpdate())
	if ms, ok := m.number("retention"); ok {
		o.windowed = append(o.windowed, topology.Retention(time.Duration(ms)*time.Millisecond))
	}
	return o, nil
}
