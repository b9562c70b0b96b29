package conformance

import (
	"errors"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// globalTable makes a table of a topic for all tasks.
func (b *builder) globalTable(o op) error {
	m := o.child("materialized")
	if err := errors.Join(o.knows("topic key value materialized name"), m.only("a global table", "name type")); err != nil {
		return err
	}
	keys, values, err := keyAndValue(o.text("key"), o.text("value"))
	if err != nil {
		return err
	}
	name := m.text("name")
	if name == "" {
		name = b.names.next(o.text("topic")+"-STATE-STORE", o.id())
	}
	opts := []topology.GlobalOption{topology.Named(name)}
	if m.text("type") == "in-memory" {
		opts = append(opts, topology.InMemory())
	}
	b.globals[o.id()] = topology.GlobalTable[any, any](b.b, o.text("topic"), keys, values, opts...)
	b.built.stores = append(b.built.stores, keyValueReader[any, any](name, keys, values))
	return nil
}

// globalStore makes a global store whose processor keeps each record as a row.
func (b *builder) globalStore(o op) error {
	if err := o.knows("topic store key value"); err != nil {
		return err
	}
	keys, values, err := keyAndValue(o.text("key"), o.text("value"))
	if err != nil {
		return err
	}
	name := o.text("store")
	spec := state.KeyValue[any, any](name, keys, values)
	b.globals[name] = topology.GlobalStore[any, any](b.b, o.text("topic"), keys, values, spec, func() *putting { return &putting{spec: spec} })
	b.built.stores = append(b.built.stores, keyValueReader[any, any](name, keys, values))
	return nil
}

// putting is the processor of a global store.
type putting struct {
	spec state.Spec[any, any]
	rows keyValue
}

func (p *putting) Init(ctx processor.Context[struct{}, struct{}]) error {
	p.rows = state.Open(ctx, p.spec)
	return nil
}

func (p *putting) Process(_ processor.Context[struct{}, struct{}], r processor.Record[any, any]) error {
	return p.rows.Put(r.Key, r.Value)
}

// joinGlobal joins a stream with a global table. A joiner that sees the key gets it with
// the value.
func (b *builder) joinGlobal(o op, s stream, table topology.Global[any, any]) error {
	if err := o.knows("with type joiner keyFn name"); err != nil {
		return err
	}
	key, err := keyMapperOf(o.text("keyFn"))
	if err != nil {
		return err
	}
	values, err := valuesOf(o, s)
	if err != nil {
		return err
	}
	join := func(_, v, row any) (any, error) { return joined("+")(v, row) }
	if fn := o.text("joiner"); fn == "key-concat" {
		join = func(k, v, row any) (any, error) {
			text, err := joined("+")(v, row)
			return javaText(k) + ":" + javaText(text), err
		}
	} else if fn != "" {
		f, err := joinerOf(fn)
		if err != nil {
			return err
		}
		join = func(_, v, row any) (any, error) { return f(v, row) }
	}
	b.streams[o.id()] = s.joinGlobal(table, o.text("type") == "left", key, join, values, o.named())
	return nil
}

// joinGlobal passes the key on beside the value, because a joiner does not see it.
func (s streamOf[K]) joinGlobal(table topology.Global[any, any], left bool, key mapper, join func(k, v, row any) (any, error), values *dynamic, opts []topology.Option) stream {
	keyed := topology.MapValuesRecord(s.s, func(r processor.Record[K, any]) (pair, error) { return pair{keyOf(r), r.Value}, nil }, keyedValues{}, own())
	keyFn := func(r processor.Record[K, pair]) (any, error) { return key(r.Value.k, r.Value.v) }
	out := serde.Serde[any](values)
	s.values = values
	if left {
		return s.with(topology.TryLeftJoinGlobal(keyed, table, keyFn, func(p pair, row any, _ bool) (any, error) { return join(p.k, p.v, row) }, out, opts...))
	}
	return s.with(topology.TryJoinGlobal(keyed, table, keyFn, func(p pair, row any) (any, error) { return join(p.k, p.v, row) }, out, opts...))
}

// globalOf returns the global store that a processor looks into, if it does.
func (b *builder) globalOf(params op) (topology.Global[any, any], bool) {
	g, ok := b.globals[params.text("globalStore")]
	return g, ok
}

// globalLookup forwards the value of the record and that of its key in a global store.
func (h *handler) globalLookup(r processor.Record[any, any]) error {
	if r.Key == nil {
		return errNullArg // as Get in Java
	}
	v, ok, err := state.OpenGlobal(h.ctx, h.global).Get(r.Key)
	if err != nil {
		return err
	}
	if !ok {
		v = nil
	}
	return h.forwardValue(r, javaText(r.Value)+"/"+javaText(v))
}

// keyedValues is the serde of values that have their key beside them. They are never
// encoded.
type keyedValues struct{}

func (keyedValues) Append(dst []byte, p pair) ([]byte, error) { return untyped.write(dst, p) }

func (keyedValues) Decode([]byte) (pair, error) { return pair{}, errors.New("no serde") }

// Absent implements serde.Optional.
func (keyedValues) Absent(p pair) bool { return p.v == nil }
