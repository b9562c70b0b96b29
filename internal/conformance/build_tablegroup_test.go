package conformance

import (
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// tableGroup is a KGroupedTable of a case. As with a group, it is made when its name is
// known.
type tableGroup struct {
	name         string
	make         func(name string) topology.GroupedTable[any, any]
	keys, values *dynamic
}

func (b *builder) groupTable(o op, t table) error {
	if err := o.knows("fn key value name"); err != nil {
		return err
	}
	f, err := pairMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	keys, err := serdeOr(o.text("key"), t.keySerde())
	if err != nil {
		return err
	}
	values, err := serdeOr(o.text("value"), t.valueSerde())
	b.built.grouped = values
	b.groupedTables[o.id()] = &tableGroup{o.text("name"), func(name string) topology.GroupedTable[any, any] {
		return t.group(name, f, keys, values, b.built.nullKeys)
	}, keys, values}
	return err
}

// aggregateTable is count, reduce and aggregate of a grouped table.
func (b *builder) aggregateTable(o op, g *tableGroup) error {
	if err := o.knows("name materialized fn init sub value"); err != nil {
		return err
	}
	// Kafka Streams has no other name for the store of a reduce.
	name, opts, err := b.storeFor(o, "KTABLE-AGGREGATE-STATE-STORE")
	if err != nil {
		return err
	}
	grouping := g.name
	if grouping == "" {
		grouping = name
	}
	b.names.groupings[grouping] = true
	t, err := g.aggregate(o, g.make(grouping), b.names.table(name), opts)
	if err != nil {
		return err
	}
	b.tables[o.id()] = t
	b.built.stores = append(b.built.stores, t.content())
	return nil
}

func (g *tableGroup) aggregate(o op, rows topology.GroupedTable[any, any], name string, opts tableOptions) (table, error) {
	switch o.text("op") {
	case "count":
		return tableOf[any, int64]{rows.Count(name, opts.plainOnes()...), g.keys, basicSerdes["long"]}, nil
	case "reduce":
		return g.reduce(o, rows, name, opts)
	}
	initial, err := initializerOf(o.text("init"))
	if err != nil {
		return nil, err
	}
	add, err := aggregatorOf(o.text("fn"))
	if err != nil {
		return nil, err
	}
	subtract, err := aggregatorOf(o.text("sub"))
	if err != nil {
		return nil, err
	}
	values, err := serdeOr(o.text("value"), g.values)
	t := topology.TryAggregateTable(rows, name, initial, ofPairs(add), ofPairs(subtract), serde.Serde[any](values), opts.plainOnes()...)
	return tableOf[any, any]{t, g.keys, values}, err
}

// ofPairs makes an aggregator of pairs out of one of their values.
func ofPairs(f aggregator) func(any, processor.Record[any, any]) (any, error) {
	return func(agg any, r processor.Record[any, any]) (any, error) { return f(keyOf(r), unpaired(r.Value), agg) }
}

// reduce may return null, which deletes the row: the serde of pairs is Optional.
func (g *tableGroup) reduce(o op, rows topology.GroupedTable[any, any], name string, opts tableOptions) (table, error) {
	add, err := reducerOf(o.text("fn"))
	if err != nil {
		return nil, err
	}
	subtract, err := reducerOf(o.text("sub"))
	if err != nil {
		return nil, err
	}
	pairs := func(f reducer) func(a, v any) (any, error) {
		return func(a, v any) (any, error) {
			out, err := f(unpaired(a), unpaired(v))
			if out == nil {
				return nil, err
			}
			return pair{v: out}, err
		}
	}
	reduced := rows.TryReduce(name, pairs(add), pairs(subtract), opts.plainOnes()...)
	values := topology.MapTable(reduced, unpaired, serde.Serde[any](g.values), own())
	return reducedTable{tableOf[any, any]{values, g.keys, g.values}, reduced}, nil
}
