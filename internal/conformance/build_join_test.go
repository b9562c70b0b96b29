package conformance

import (
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// join joins what the case gives it: two streams, a stream with a table, or two tables,
// by their keys or by a foreign key.
func (b *builder) join(o op) error {
	if global, ok := b.globals[o.text("with")]; ok && b.streams[o.text("from")] != nil {
		return b.joinGlobal(o, b.streams[o.text("from")], global)
	}
	f, err := joinerOf(o.text("joiner"))
	if err != nil {
		return err
	}
	right := b.tables[o.text("with")]
	left := b.tables[o.text("from")]
	if left != nil && right != nil && o.has("fk") {
		return b.joinForeign(o, left, right, f)
	}
	if left != nil && right != nil {
		return b.joinTables(o, left, right, f)
	}
	s, other := b.streams[o.text("from")], b.streams[o.text("with")]
	if s != nil && other != nil {
		return b.joinStreams(o, s, other, f)
	}
	if s == nil || right == nil {
		return notYet("joins of other inputs")
	}
	return b.joinStream(o, s, right, f)
}

func (b *builder) joinStream(o op, s stream, t table, f joiner) error {
	if err := o.knows("with type joiner name gracePeriod"); err != nil {
		return err
	}
	values, err := valuesOf(o, s)
	if err != nil {
		return err
	}
	name := o.text("name")
	rekeyed := func() string {
		if name != "" {
			return name
		}
		return b.names.next("KSTREAM-KEY-SELECT", o.id())
	}
	if s = b.shared(o.text("from"), s, rekeyed); s.isRekeyed() {
		s, name = s.countNullKeys(b.built.nullKeys), rekeyed()
	}
	var opts []topology.JoinOption
	if o.has("gracePeriod") {
		name = b.nameBuffer(o, name)
		opts = append(opts, topology.Grace(o.duration("gracePeriod")))
	}
	if name != "" {
		opts = append(opts, topology.Named(name))
	}
	b.streams[o.id()], err = s.join(t, o.text("type") == "left", f, values, opts)
	return err
}

// nameBuffer returns the name of a join in which records wait, and notes what Kafka
// Streams calls the store.
func (b *builder) nameBuffer(o op, name string) string {
	theirs := o.text("name")
	if theirs == "" {
		role := map[bool]string{false: "KSTREAM-JOIN", true: "KSTREAM-LEFTJOIN"}[o.text("type") == "left"]
		theirs = b.names.next(role, o.id())
	}
	if name == "" {
		name = theirs
	}
	b.names.call(theirs+"-Buffer", name+"-buffer")
	return name
}

func (b *builder) joinTables(o op, left, right table, f joiner) error {
	if err := o.knows("with type joiner name materialized"); err != nil {
		return err
	}
	values, err := serdeOr(o.text("value"), left.valueSerde())
	if err != nil {
		return err
	}
	t, err := left.join(right, o.text("type"), f, values, o.named())
	if err != nil {
		return err
	}
	return b.keep(o, t, "")
}

func (s streamOf[K]) join(t table, left bool, f joiner, values *dynamic, opts []topology.JoinOption) (stream, error) {
	rows, ok := rowsOf[K](t)
	if !ok {
		return nil, notYet("joins of plain and windowed keys")
	}
	out := serde.Serde[any](values)
	s.values = values
	if left {
		return s.with(topology.TryLeftJoin(s.s, rows, func(v, row any, _ bool) (any, error) { return f(v, row) }, out, opts...)), nil
	}
	return s.with(topology.TryJoin(s.s, rows, f, out, opts...)), nil
}

func (t tableOf[K, V]) join(other table, kind string, f joiner, values *dynamic, opts []topology.Option) (table, error) {
	left := t.anyRows()
	right, ok := rowsOf[K](other)
	if !ok {
		return nil, notYet("joins of plain and windowed keys")
	}
	out := serde.Serde[any](values)
	joined := map[string]func() topology.Table[K, any]{
		"inner": func() topology.Table[K, any] { return topology.TryJoinTables(left, right, f, out, opts...) },
		"left": func() topology.Table[K, any] {
			return topology.TryLeftJoinTables(left, right, func(l, r any, _ bool) (any, error) { return f(l, r) }, out, opts...)
		},
		"outer": func() topology.Table[K, any] {
			return topology.TryOuterJoinTables(left, right, func(l any, _ bool, r any, _ bool) (any, error) { return f(l, r) }, out, opts...)
		},
	}[kind]
	if joined == nil {
		return nil, notYet("joins of type %q", kind)
	}
	return tableOf[K, any]{joined(), t.keys, values}, nil
}

// rowsOf returns a table with keys of type K as one whose values have the type any.
func rowsOf[K any](t table) (topology.Table[K, any], bool) {
	rows, ok := t.(interface{ anyRows() topology.Table[K, any] })
	if !ok {
		return topology.Table[K, any]{}, false
	}
	return rows.anyRows(), true
}

func (t tableOf[K, V]) anyRows() topology.Table[K, any] {
	if same, ok := any(t.t).(topology.Table[K, any]); ok {
		return same
	}
	return topology.MapTable(t.t, func(v V) any { return v }, serde.Serde[any](t.values), own())
}

func (t windowedTableOf[V]) anyRows() topology.Table[serde.Windowed[any], any] {
	return t.plain().anyRows()
}

func (t windowedTableOf[V]) join(other table, kind string, f joiner, values *dynamic, opts []topology.Option) (table, error) {
	return t.plain().join(other, kind, f, values, opts)
}
