package conformance

import (
	"time"

	"github.com/millrace-streams/millrace/topology"
)

// group is a grouped stream. If a grouping has no name, Kafka Streams names its
// repartition topic after the aggregation; Millrace names the grouping. A group without a
// name is therefore made again for each of its aggregations, once their names are known,
// by GroupByKey on the stream with the new key.
type group struct {
	name         string
	make         func(name string) grouped
	made         grouped
	repartitions bool
}

// windowed is a group, with windows or without.
type windowed struct {
	*group
	windows  *topology.Windows
	sessions *op
	final    bool // the results of closed windows only
}

func (b *builder) groupBy(o op) error {
	if t := b.tables[o.text("from")]; t != nil {
		return b.groupTable(o, t)
	}
	s, err := b.from(o, "fn key name")
	if err != nil {
		return err
	}
	g := &group{name: o.text("name")}
	b.groups[o.id()] = windowed{group: g}
	if o.text("op") == "groupByKey" {
		return b.groupByKey(g, o, s)
	}
	f, err := keyMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	keys, err := keysOf(o, s)
	if g.repartitions = true; g.name == "" {
		rekeyed := s.selectKey(f, keys, nil)
		g.make = func(name string) grouped { return b.byKey(o.id(), rekeyed, name) }
		return err
	}
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

func (b *builder) groupByKey(g *group, o op, s stream) error {
	g.repartitions = s.isRekeyed()
	g.make = func(name string) grouped {
		if g.repartitions {
			return b.byKey(o.text("from"), s, name)
		}
		return s.groupByKey(name)
	}
	return o.knows("name")
}

// open returns the grouped stream for an aggregation into a table, and Millrace's name of
// the table.
func (g *group) open(n *names, table string) (grouped, string) {
	switch {
	case g.name != "":
		if g.made == nil {
			g.made = g.make(g.name)
		}
		return g.made, n.table(table)
	case g.repartitions:
		n.groupings[table] = true
		return g.make(table), n.table(table)
	}
	return g.make(table + "-by"), n.table(table)
}

func (b *builder) windowedBy(o op) error {
	if err := o.knows("window emit"); err != nil {
		return err
	}
	if c, ok := b.cogroups[o.text("from")]; ok {
		return b.windowCogroup(o, c)
	}
	g, ok := b.groups[o.text("from")]
	if !ok {
		return notYet("windowedBy of %s", o.text("from"))
	}
	final := o.text("emit") == "close"
	if !final && o.has("emit") {
		return notYet("windowedBy with emit %s", o.text("emit"))
	}
	if window := o.child("window"); window.text("type") == "session" {
		b.groups[o.id()] = windowed{group: g.group, sessions: &window, final: final}
		return window.only("session windows", "type gap grace")
	}
	w, err := windowsOf(o.child("window"))
	b.groups[o.id()] = windowed{group: g.group, windows: &w, final: final}
	return err
}

func windowsOf(o op) (w topology.Windows, err error) {
	kind := o.text("type")
	params, ok := map[string]string{"tumbling": "type size grace", "hopping": "type size advance grace", "unlimited": "type start", "sliding": "type diff grace"}[kind]
	if !ok {
		return w, notYet("%s windows", kind)
	}
	if err := o.only(kind+" windows", params); err != nil {
		return w, err
	}
	if o.ms("size") >= longest {
		return w, notYet("windows of 292 years, for which a time.Duration is too short")
	}
	switch kind {
	case "unlimited":
		return topology.Unlimited(time.UnixMilli(o.ms("start"))), nil
	case "sliding":
		w = topology.Sliding(o.duration("diff"))
	case "hopping":
		w = topology.Hopping(o.duration("size"), o.duration("advance"))
	default:
		w = topology.Tumbling(o.duration("size"))
	}
	return w.Grace(o.duration("grace")), nil
}

// aggregate handles count, reduce and aggregate.
func (b *builder) aggregate(o op) error {
	if g, ok := b.groupedTables[o.text("from")]; ok {
		return b.aggregateTable(o, g)
	}
	if c, ok := b.cogroups[o.text("from")]; ok {
		return b.aggregateCogroup(o, c)
	}
	if err := o.knows("name materialized fn init value merger"); err != nil {
		return err
	}
	g, ok := b.groups[o.text("from")]
	if !ok {
		return notYet("%s of a grouped table", o.text("op"))
	}
	role := "KSTREAM-AGGREGATE-STATE-STORE"
	if o.text("op") == "reduce" {
		role = "KSTREAM-REDUCE-STATE-STORE"
	}
	name, opts, err := b.storeFor(o, role)
	if err != nil {
		return err
	}
	if g.final {
		opts.every = false // Final excludes it
	}
	plain, name := g.open(b.names, name)
	from, err := g.cut(plain, o)
	if err != nil {
		return err
	}
	t, err := aggregateInto(o, from, name, opts)
	if err != nil {
		return err
	}
	if g.final {
		t = t.(interface{ final() table }).final()
	}
	b.tables[o.id()] = t
	if !opts.isVersioned { // the corpus does not list versioned stores
		b.built.stores = append(b.built.stores, t.content())
	}
	return nil
}

// cut cuts the groups into windows or sessions, if an aggregation has any.
func (g windowed) cut(plain grouped, o op) (folded, error) {
	switch {
	case g.windows != nil:
		return plain.window(*g.windows)
	case g.sessions == nil:
		return plain, nil
	case !o.has("merger"):
		return plain.sessions(g.sessions.duration("gap"), g.sessions.duration("grace"), nil)
	}
	merge, err := reducerOf(o.text("merger"))
	if err != nil {
		return nil, err
	}
	return plain.sessions(g.sessions.duration("gap"), g.sessions.duration("grace"), merge)
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

// storeFor returns the name and the options of the store of an aggregation. role is that
// of the name which Kafka Streams makes up if the case gives none.
func (b *builder) storeFor(o op, role string) (name string, opts tableOptions, err error) {
	m := o.child("materialized")
	if opts, err = b.materialized(m); err != nil {
		return "", opts, err
	}
	if name = m.text("name"); name == "" {
		name = b.names.next(role, o.id())
	}
	return name, opts, nil
}

// materialized reads the options of a table's store. Without a cache every update is
// forwarded.
func (b *builder) materialized(m op) (o tableOptions, err error) {
	if err := m.only("a materialized table", "name type supplier size retention logging caching versioned"); err != nil {
		return o, err
	}
	if kind := m.text("type"); kind != "" && kind != "rocksdb" && kind != "in-memory" {
		return o, notYet("a materialized table of type %s", kind)
	}
	// See timestampsInRows and tablesKeepRows.
	switch supplier := m.text("supplier"); supplier {
	case "", "rocksdb", "in-memory", "lru":
	default:
		return o, notYet("a materialized table with supplier %s", supplier)
	}
	add := func(when bool, opt topology.StoreOption) {
		if when {
			o.all = append(o.all, opt)
		}
	}
	add(m.text("type") == "in-memory" || m.text("supplier") == "in-memory" || m.text("supplier") == "lru", topology.InMemory())
	add(m.isOff("logging"), topology.WithoutChangelog())
	o.every = !b.cached || m.isOff("caching")
	if m.has("versioned") {
		o.versioned = topology.Versioned(m.duration("versioned"))
		o.isVersioned = true
	}
	if m.has("retention") {
		o.windowed = append(o.windowed, topology.Retention(m.duration("retention")))
	}
	return o, nil
}
