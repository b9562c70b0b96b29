package conformance

import (
	"fmt"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// cogroup is a CogroupedKStream of a case, with windows or without. As with a group, its
// groupings are made when the name of the table is known.
type cogroup struct {
	inputs   []cogroupInput
	windows  *topology.Windows
	sessions *op
}

type cogroupInput struct {
	*group
	add aggregator
}

// cogroup adds an input to a cogroup, or begins one.
func (b *builder) cogroup(o op) error {
	if err := o.knows("fn with"); err != nil {
		return err
	}
	from, next := o.text("from"), o.text("with")
	if next == "" {
		from, next = "", from
	}
	g, ok := b.groups[next]
	if !ok || g.windows != nil || g.sessions != nil {
		return notYet("cogroup of anything but grouped streams")
	}
	add, err := aggregatorOf(o.text("fn"))
	before := b.cogroups[from]
	b.cogroups[o.id()] = cogroup{inputs: append(before.inputs[:len(before.inputs):len(before.inputs)], cogroupInput{g.group, add})}
	return err
}

// windowCogroup is windowedBy of a cogroup.
func (b *builder) windowCogroup(o op, c cogroup) error {
	if o.has("emit") {
		return notYet("windowedBy of a cogroup with emit %s", o.text("emit"))
	}
	window := o.child("window")
	if window.text("type") == "session" {
		c.sessions = &window
		b.cogroups[o.id()] = c
		return window.only("session windows", "type gap grace")
	}
	w, err := windowsOf(window)
	c.windows = &w
	b.cogroups[o.id()] = c
	return err
}

// aggregateCogroup is aggregate of a cogroup.
func (b *builder) aggregateCogroup(o op, c cogroup) error {
	if err := o.knows("name materialized init value merger"); err != nil {
		return err
	}
	name, opts, err := b.storeFor(o, "COGROUPKSTREAM-AGGREGATE-STATE-STORE")
	if err != nil {
		return err
	}
	t, err := b.foldCogroup(o, c, name, opts)
	if err != nil {
		return err
	}
	b.tables[o.id()] = t
	b.built.stores = append(b.built.stores, t.content())
	return nil
}

func (b *builder) foldCogroup(o op, c cogroup, name string, opts tableOptions) (table, error) {
	initial, err := initializerOf(o.text("init"))
	if err != nil {
		return nil, err
	}
	var inputs []topology.Folded[any, any]
	var first groupedOf[any]
	for i, in := range c.inputs {
		g, ok := in.openInput(b.names, name, i).(groupedOf[any])
		if !ok {
			return nil, notYet("cogroup of windowed keys")
		}
		if i == 0 {
			first = g
		}
		inputs = append(inputs, topology.TryFold(g.g, adding[any](in.add)))
	}
	values, err := serdeOr(o.text("value"), first.values)
	if err != nil {
		return nil, err
	}
	all, name := topology.Cogroup(inputs[0], inputs[1:]...), b.names.table(name)
	switch {
	case c.windows != nil:
		t := all.Window(*c.windows).Aggregate(name, initial, serde.Serde[any](values), opts.windowedOnes()...)
		return windowedTable(t, first.keys, values), nil
	case c.sessions == nil:
		return tableOf[any, any]{all.Aggregate(name, initial, serde.Serde[any](values), opts.plainOnes()...), first.keys, values}, nil
	}
	merge, err := reducerOf(o.text("merger"))
	if err != nil {
		return nil, err
	}
	cut := all.Sessions(c.sessions.duration("gap")).Grace(c.sessions.duration("grace"))
	t := cut.TryAggregate(name, initial, merge, serde.Serde[any](values), opts.windowedOnes()...)
	return sessionTable(t, first.keys, values), nil
}

// openInput returns the grouped stream of an input of a cogroup.
func (g *group) openInput(n *names, table string, i int) grouped {
	switch {
	case g.name != "":
		if g.made == nil {
			g.made = g.make(g.name)
		}
		return g.made
	case g.repartitions:
		n.groupings[table] = true
		return g.make(table)
	}
	return g.make(fmt.Sprintf("%s-by-%d", table, i))
}
