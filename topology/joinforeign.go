package topology

import (
	"github.com/millrace-streams/millrace/internal/foreign"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// JoinForeign joins each row of the left table with the row of the right table whose key
// is the left row's foreign key. Many rows may have the same foreign key.
//
//	owner := func(o Order) (string, bool) { return o.User, o.User != "" }
//	owned := topology.JoinForeign(orders, users, "owned", owner, describe, ownedSerde)
//
// The result has the keys of the left table. It has a row for each left row whose right
// row exists. An update of a left row updates its row of the result. An update of a right
// row updates the rows of the result of all left rows that have its key as their foreign
// key. The result has no store; [Table.Stored] adds one. An operator that needs old
// values, such as GroupTable, needs such a store.
//
// foreign returns the foreign key of a left row. If ok is false, or if the right table's
// key serde is Optional (see serde.Optional) and the key is absent, the left row has no
// foreign key. Such a row has no result, and is counted as dropped. foreign is also
// called for the old row of an update, so its result must depend on the row only. A
// foreign key that the right table's key serde cannot encode is an error of the left row,
// in the phase process. One that it cannot decode is an error of the message in the task
// of the right row, in the phase decode. If the error policy skips it, the row of the
// result stays as it is until the left row changes. If foreign changes in a new version
// of the program, reset the application (see "Starting over" in package millrace).
//
// A row whose value its table's serde cannot encode is an error of the row, in the phase
// process. If the error policy skips it, the join takes the row for absent until its next
// update: the result of such a left row is deleted, and left rows have no right row.
//
// # How it works
//
// The tables may have different numbers of partitions. The task of a left row sends a
// subscription to the task of the right row. That task keeps the subscription, and sends
// a response at once and whenever the right row changes. The messages go through two
// topics of the application,
//
//	<app>-<name>-subscription-registration-topic
//	<app>-<name>-subscription-response-topic
//
// and the subscriptions are kept in the store <name>-subscription-store, with the
// changelog <app>-<name>-subscription-store-changelog. opts are options of this store.
// All formats are those of Kafka Streams. Because of the messages, an update reaches the
// result later than in [JoinTables]: with ExactlyOnce, two commits later.
//
// A message carries a hash of the encoded value of the left row. If the left row has
// changed before the response arrives, the response is dropped, and counted as dropped
// with the reason "stale response"; the changed row gets a response of its own. The serde
// of the left values must therefore encode equal values as equal bytes. A new version of
// the program may encode them differently: a row then asks again when it gets its first
// response, so a change of the right table arrives later, and once. While messages are on
// their way, the result may show an old row of one of the tables. When all messages have
// arrived, the result is the join of the two tables.
//
// The join sees only the updates that the tables forward after it was added. If it is
// added to an application that has run before, an existing left row is joined when it
// changes next.
//
// # Rows of the result
//
// The timestamp of a row depends on the update that made it: after an update of the left
// row, it is the larger timestamp of the two rows; after an update of the right row, it
// is the timestamp of the right row. A row has the headers of that update. A deletion may
// be forwarded for a row that did not exist. There are no late records: updates are
// applied in the order in which they arrive. The updates of one row come in the order of
// its changes. Updates of rows with different foreign keys come in any order. If vs is
// Optional (see serde.Nullable), an absent result is an absent row.
//
// If a row of a windowed table expires, no deletion is forwarded. The results and the
// subscriptions of the row stay.
//
// Each table must have a store or be derived from tables that have one. A table may be
// joined with itself. f must not change what its arguments point to.
func JoinForeign[K, L, F, R, V any](left Table[K, L], right Table[F, R], name string, foreign func(l L) (key F, ok bool), f func(l L, r R) V, vs serde.Serde[V], opts ...TableOption) Table[K, V] {
	return joinForeign(left, right, name, foreignJoin[K, L, F, R, V]{
		op: "joinForeign", given: []any{foreign, f},
		key:  func(r *graph.Record[K, L]) (F, bool, error) { key, ok := foreign(r.Value); return key, ok, nil },
		join: func(l L, _ bool, r R, _ bool) (V, error) { return f(l, r), nil },
	}, vs, opts)
}

// TryJoinForeign is JoinForeign with functions that may fail. foreign also sees the key
// of the row. For the old row of an update, it gets a record with the timestamp and the
// headers of the update.
//
// If foreign fails for a new row and the error policy skips the error, the row has no
// foreign key and therefore no result. If f fails and the policy skips the error, the row
// of the result is absent until the next update of one of the two rows.
func TryJoinForeign[K, L, F, R, V any](left Table[K, L], right Table[F, R], name string, foreign func(processor.Record[K, L]) (key F, ok bool, err error), f func(l L, r R) (V, error), vs serde.Serde[V], opts ...TableOption) Table[K, V] {
	return joinForeign(left, right, name, foreignJoin[K, L, F, R, V]{
		op: "joinForeign", given: []any{foreign, f},
		key:  func(r *graph.Record[K, L]) (F, bool, error) { return foreign(r.Record) },
		join: func(l L, _ bool, r R, _ bool) (V, error) { return f(l, r) },
	}, vs, opts)
}

// LeftJoinForeign is [JoinForeign] with a row for each row of the left table. If there is
// no right row, or the left row has no foreign key, ok is false and r is the zero value.
// A row without a foreign key is not counted as dropped.
func LeftJoinForeign[K, L, F, R, V any](left Table[K, L], right Table[F, R], name string, foreign func(l L) (key F, ok bool), f func(l L, r R, ok bool) V, vs serde.Serde[V], opts ...TableOption) Table[K, V] {
	return joinForeign(left, right, name, foreignJoin[K, L, F, R, V]{
		op: "leftJoinForeign", given: []any{foreign, f}, left: true,
		key:  func(r *graph.Record[K, L]) (F, bool, error) { key, ok := foreign(r.Value); return key, ok, nil },
		join: func(l L, _ bool, r R, ok bool) (V, error) { return f(l, r, ok), nil },
	}, vs, opts)
}

// TryLeftJoinForeign is LeftJoinForeign with functions that may fail; see
// [TryJoinForeign]. If foreign fails for a row and the error policy skips the error, the
// row is joined like a row without a foreign key.
func TryLeftJoinForeign[K, L, F, R, V any](left Table[K, L], right Table[F, R], name string, foreign func(processor.Record[K, L]) (key F, ok bool, err error), f func(l L, r R, ok bool) (V, error), vs serde.Serde[V], opts ...TableOption) Table[K, V] {
	return joinForeign(left, right, name, foreignJoin[K, L, F, R, V]{
		op: "leftJoinForeign", given: []any{foreign, f}, left: true,
		key:  func(r *graph.Record[K, L]) (F, bool, error) { return foreign(r.Record) },
		join: func(l L, _ bool, r R, ok bool) (V, error) { return f(l, r, ok) },
	}, vs, opts)
}

// foreignJoin describes the join that joinForeign adds.
type foreignJoin[K, L, F, R, V any] struct {
	op    string
	given []any // the functions that the user passed
	left  bool
	key   func(*graph.Record[K, L]) (F, bool, error)
	join  operator.RowJoiner[L, R, V]
}

// joinForeign adds a foreign-key join.
func joinForeign[K, L, F, R, V any](left Table[K, L], right Table[F, R], name string, j foreignJoin[K, L, F, R, V], vs serde.Serde[V], opts []TableOption) Table[K, V] {
	b := left.b
	n := b.add(&node{kind: graph.Processor, op: j.op, make: operator.PassThrough[K, V]{}.New}, name, left.n)
	joined := Table[K, V]{b: b, n: n, keys: left.keys, values: vs}
	b.needName(n, name, "its topics, its store and the changelog")
	for _, f := range j.given {
		b.needFunc(n, f)
	}
	if !b.sameBuilder(n, right.b) {
		return joined
	}
	b.needSerdes(n, serdes{left.keys, left.values}, "to send messages about the rows of the left table")
	b.needSerdes(n, serdes{right.keys, right.values}, "to send messages about the rows of the right table")
	subscriptions := graph.RepartitionTopic{Key: serde.FormatName(right.keys), Value: "subscriptions of " + serde.FormatName(left.keys)}
	responses := graph.RepartitionTopic{Key: serde.FormatName(left.keys), Value: "responses of " + serde.FormatName(right.values)}
	p := b.addForeignJoin(n, left.n, right.n, subscriptions, responses)
	b.lookUp(p.resolve, left.n, left.rows.in)
	b.lookUp(p.receive, right.n, right.rows.in)
	b.needOldRows(n, left.n, left.rows.in)
	b.needOldRows(n, right.n, right.rows.in)
	if name != "" && !isNil(left.keys) && !isNil(right.keys) {
		o := chosenTable(opts)
		if o.versioned {
			b.problem("%v: Versioned has no effect on the subscriptions of a join: remove it, or call Stored with Versioned on the result", n)
		}
		b.refuseCombine(n, o)
		b.refuseTTL(n, o, "without the subscriptions of a join, updates would be lost: remove TTL, or give it to one of the tables")
		b.refuseMigration(n, &o, "the subscriptions of a join do not have the values of a table: remove Migrate, or give it to one of the tables")
		use := subscriptionStore(name, left.keys, right.keys, o)
		p.receive.stores = append(p.receive.stores, use)
		use.lookUp = true
		p.update.stores = []storeUse{use}
	}
	j.setMakers(p, left, right, name+foreignStore, vs)
	return joined
}

// setMakers sets the makers of the nodes' instances.
func (j foreignJoin[K, L, F, R, V]) setMakers(p foreignParts, left Table[K, L], right Table[F, R], store string, vs serde.Serde[V]) {
	subscribe := operator.ForeignSubscribe[K, L, F]{Foreign: j.key, Left: j.left, Keys: left.keys, Values: left.values, To: right.keys}
	p.subscribe.make = subscribe.New
	p.resolve.make = operator.ForeignResolve[K, L, F, R, V]{ForeignSubscribe: subscribe, Rows: left.rows.view, Right: right.values, Join: j.join, Out: vs}.New
	p.receive.make = operator.ForeignReceive[F, R]{Store: store, Right: right.rows.view, Values: right.values}.New
	p.update.make = operator.ForeignUpdate[F, R]{Store: store, Keys: right.keys, Values: right.values}.New

	// The sinks of this application have encoded the keys in the topics, so the sources
	// may keep their bytes.
	subscriptions, responses := foreign.Subscriptions(), foreign.Responses()
	p.subscriptions.make = operator.Sink[F, foreign.Subscription]{Keys: right.keys, Values: subscriptions, Place: operator.SubscriptionPartition[F]}.New
	p.subscribed.make = operator.Source[F, foreign.Subscription]{Keys: right.keys, Values: subscriptions, KeepKey: true}.New
	p.responses.make = operator.Sink[[]byte, foreign.Response]{Keys: serde.Bytes, Values: responses, Place: operator.ResponsePartition}.New
	p.responded.make = operator.Source[K, foreign.Response]{Keys: left.keys, Values: responses, KeepKey: true}.New
}

// subscriptionStore describes the store of the subscriptions.
func subscriptionStore(name string, left, right any, o tableOptions) storeUse {
	return storeUse{spec: store.NewKeyValue(name+foreignStore, foreign.Keys(right, left), foreign.Subscriptions(), o.ofStore())}
}

// The names of the topics and of the store of a foreign-key join are the join's name and
// one of these suffixes. The suffixes are those of Kafka Streams.
const (
	registrationTopic = graph.RegistrationSuffix
	responseTopic     = graph.ResponseSuffix
	foreignStore      = "-subscription-store"
)

// foreignParts are the nodes of a foreign-key join, without the node of the result.
type foreignParts struct {
	// The left side sends subscriptions, and receives and joins responses.
	subscribe, responded, resolve, subscriptions *node
	// The right side receives subscriptions. It answers each when it arrives and whenever
	// the right row changes.
	subscribed, receive, update, responses *node
}

// addForeignJoin adds the nodes of a foreign-key join in front of the result, and its two
// topics, which have formats only.
func (b *Builder) addForeignJoin(result, left, right *node, subscriptions, responses graph.RepartitionTopic) (p foreignParts) {
	topic := func(name string, of graph.RepartitionTopic) graph.Topic {
		of.Topic, of.Message = graph.Topic{Name: result.name + name, Internal: true}, true
		b.repartitions = append(b.repartitions, &of)
		return of.Topic
	}
	registration, response := topic(registrationTopic, subscriptions), topic(responseTopic, responses)
	add := func(part string, n *node, parents ...*node) *node {
		n.op = result.op
		return b.addBefore(result, n, part, parents...)
	}
	p.subscribe = add("subscription-registration-processor", &node{kind: graph.Processor}, left)
	p.responded = add("subscription-response-source", &node{kind: graph.Source, topics: []graph.Topic{response}})
	p.resolve = add("subscription-response-resolver", &node{kind: graph.Processor, keyed: true}, p.responded)
	p.subscriptions = add("subscription-registration-sink", &node{kind: graph.Sink, sinkTopic: registration}, p.subscribe, p.resolve)
	p.subscribed = add("subscription-registration-source", &node{kind: graph.Source, topics: []graph.Topic{registration}})
	p.receive = add("subscription-receive", &node{kind: graph.Processor, keyed: true}, p.subscribed)
	p.update = add("foreign-join-subscription", &node{kind: graph.Processor, keyed: true, answers: true}, right)
	p.responses = add("subscription-response-sink", &node{kind: graph.Sink, sinkTopic: response}, p.receive, p.update)
	result.parents = []*node{p.resolve}
	return p
}

// needOldRows reports a table that has a store but does not send old rows. lookUp has
// already reported a table without a store.
func (b *Builder) needOldRows(n, table *node, in []*node) {
	if len(in) > 0 && !table.sendsOld() {
		b.problem("%v: table %q does not know the old rows of its updates: call Stored on it first", n, table.name)
	}
}
