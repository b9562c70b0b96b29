package conformance

import (
	"cmp"
	"fmt"

	"github.com/millrace-streams/millrace/internal/foreign"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// foreignJoin is a foreign-key join of a case.
type foreignJoin struct {
	name    string
	left    bool
	foreign mapper
	join    joiner
	values  *dynamic
}

// joinForeign joins two tables on a foreign key.
func (b *builder) joinForeign(o op, left, right table, f joiner) error {
	if err := o.knows("with type fk joiner name materialized"); err != nil {
		return err
	}
	foreign, err := keyMapperOf(o.text("fk"))
	if err != nil {
		return err
	}
	values, err := serdeOr(o.text("value"), left.valueSerde())
	if err != nil {
		return err
	}
	j := foreignJoin{name: cmp.Or(o.text("name"), o.id()+"-joined"), left: o.text("type") == "left", foreign: foreign, join: f, values: values}
	if o.text("name") == "" {
		b.nameForeignJoin(o, j.name)
	}
	joined, err := left.joinForeign(right, j)
	if err != nil {
		return err
	}
	b.built.stores = append(b.built.stores, subscriptionReader(j.name+"-subscription-store"))
	return b.keep(o, joined, "KTABLE-FK-JOIN-OUTPUT-STATE-STORE")
}

// nameForeignJoin notes what Kafka Streams calls the topics and the store of a join
// without a name.
func (b *builder) nameForeignJoin(o op, name string) {
	const role = "KTABLE-FK-JOIN-SUBSCRIPTION"
	topic := func(theirs, ours string) {
		b.names.alias[internalTopic(b.names.next(role+theirs, o.id()), "topic")] = internalTopic(name+ours, "topic")
	}
	topic("-REGISTRATION", "-subscription-registration")
	topic("-RESPONSE", "-subscription-response")
	b.names.call(b.names.next(role+"-STATE-STORE", o.id()), name+"-subscription-store")
}

func (t tableOf[K, V]) joinForeign(other table, j foreignJoin) (table, error) {
	right, ok := rowsOf[any](other)
	if !ok {
		return nil, notYet("foreign-key joins with a windowed table")
	}
	key := func(r processor.Record[K, any]) (any, bool, error) {
		k, err := j.foreign(keyOf(r), r.Value)
		return k, k != nil, err
	}
	out := serde.Serde[any](j.values)
	if j.left {
		joined := topology.TryLeftJoinForeign(t.anyRows(), right, j.name, key, func(l, r any, _ bool) (any, error) { return j.join(l, r) }, out)
		return tableOf[K, any]{joined, t.keys, j.values}, nil
	}
	return tableOf[K, any]{topology.TryJoinForeign(t.anyRows(), right, j.name, key, j.join, out), t.keys, j.values}, nil
}

func (t windowedTableOf[V]) joinForeign(other table, j foreignJoin) (table, error) {
	return t.plain().joinForeign(other, j)
}

// subscriptionReader reads subscriptions, as the corpus has them: keys in bytes, and
// values as texts.
func subscriptionReader(name string) storeReader {
	instructions := []string{"DELETE_KEY_NO_PROPAGATE", "DELETE_KEY_AND_PROPAGATE", "PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE", "PROPAGATE_ONLY_IF_FK_VAL_AVAILABLE"}
	return storeReader{name, basicSerdes["bytes"], basicSerdes["string"], func(d *topologytest.Driver) (rows []row, err error) {
		for e, err := range topologytest.Store[state.KeyValueStore[foreign.Key, foreign.Subscription]](d, name, 0).All() {
			if err != nil {
				return nil, err
			}
			s := e.Value
			rows = append(rows, row{
				key: foreign.AppendKey(nil, []byte(e.Key.Foreign), e.Key.Primary), at: e.Timestamp,
				value: fmt.Sprintf("SubscriptionWrapper{version=1, primaryKey=%s, instruction=%s, hash=.., primaryPartition=%d}", s.Primary, instructions[s.Instruction], s.Partition),
			})
		}
		return rows, nil
	}}
}
