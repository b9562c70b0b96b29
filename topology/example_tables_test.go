package topology_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// How many users live in each city. A user who moves is subtracted from one count and
// added to another.
func ExampleGroupTable() {
	b := topology.New()
	cities := topology.SourceTable(b, "cities", serde.String, serde.String)
	inCity := func(city string) string { return city }
	topology.GroupTable(cities, "by-city", inCity, serde.String).Count("users-by-city").Stream().To("counts")

	d := start(b, topologytest.EveryUpdate())
	in := topologytest.Input(d, "cities", serde.String, serde.String)
	in.Send("ann", "Rome", time.UnixMilli(1))
	in.Send("bob", "Rome", time.UnixMilli(2))
	in.Send("ann", "Oslo", time.UnixMilli(3))
	printTopic(d, "counts", serde.Int64)
	// Output:
	// counts: Rome 1
	// counts: Rome 2
	// counts: Rome 1
	// counts: Oslo 1
}

// The stock of each shelf: the sum over the items that lie on it. If the number of an
// item changes, the old number is subtracted.
func ExampleAggregateTable() {
	type item struct {
		Shelf string
		Count int64
	}
	b := topology.New()
	items := topology.SourceTable(b, "items", serde.String, serde.JSON[item]())
	onShelf := topology.GroupTable(items, "by-shelf", func(i item) string { return i.Shelf }, serde.String)
	zero := func() int64 { return 0 }
	add := func(sum int64, r processor.Record[string, item]) int64 { return sum + r.Value.Count }
	subtract := func(sum int64, r processor.Record[string, item]) int64 { return sum - r.Value.Count }
	topology.AggregateTable(onShelf, "stock", zero, add, subtract, serde.Int64).Stream().To("stocks")

	d := start(b, topologytest.EveryUpdate())
	in := topologytest.Input(d, "items", serde.String, serde.JSON[item]())
	in.Send("tea", item{"A", 10}, time.UnixMilli(1))
	in.Send("rice", item{"A", 5}, time.UnixMilli(2))
	in.Send("tea", item{"A", 7}, time.UnixMilli(3))
	in.Send("tea", item{"B", 7}, time.UnixMilli(4))
	printTopic(d, "stocks", serde.Int64)
	// Output:
	// stocks: A 10
	// stocks: A 15
	// stocks: A 12
	// stocks: A 5
	// stocks: B 7
}

// The ages of users, and the adults among them in a table of their own.
func ExampleSourceTable() {
	b := topology.New()
	ages := topology.SourceTable(b, "ages", serde.String, serde.Int64)
	adults := ages.Filter(func(age int64) bool { return age >= 18 }).Stored("adults")
	topology.MapTable(adults, func(age int64) string { return fmt.Sprint(age, " years") }, serde.String).
		Stream().To("adults-out")

	d := start(b)
	in := topologytest.Input(d, "ages", serde.String, serde.Int64)
	in.Send("ann", 17, time.UnixMilli(1))
	in.Send("bob", 30, time.UnixMilli(2))
	in.Send("ann", 18, time.UnixMilli(3))
	printTopic(d, "adults-out", serde.String)
	for e, err := range topologytest.Store[state.KeyValueStore[string, int64]](d, "adults", 0).All() {
		fmt.Println("adults:", e.Key, e.Value, err)
	}
	// Output:
	// adults-out: bob 30 years
	// adults-out: ann 18 years
	// adults: ann 18 <nil>
	// adults: bob 30 <nil>
}

// The topic of the users is compacted. It is the changelog of the table, so no other
// topic has a copy of it. After the loss of the disk, the table is read from the topic.
func ExampleSourceAsChangelog() {
	b := topology.New()
	users := topology.SourceTable(b, "users", serde.String, serde.String, topology.SourceAsChangelog())
	orders := topology.Source(b, "orders", serde.String, serde.String)
	topology.Join(orders, users, func(order, user string) string { return order + " for " + user }, serde.String).To("known")

	d := start(b)
	topologytest.Input(d, "users", serde.String, serde.String).Send("u1", "Ann", time.UnixMilli(1))
	d.Crash("users", 0, topologytest.LoseDisk)
	topologytest.Input(d, "orders", serde.String, serde.String).Send("u1", "tea", time.UnixMilli(2))
	printTopic(d, "known", serde.String)
	fmt.Println(d.Topics())
	// Output:
	// known: u1 tea for Ann
	// [known orders users]
}

// Orders with the prices of their items. The orders are not repartitioned by item.
func ExampleJoinGlobal() {
	b := topology.New()
	prices := topology.GlobalTable(b, "prices", serde.String, serde.Int64)
	orders := topology.Source(b, "orders", serde.String, serde.String)
	item := func(order string) string { return order }
	topology.JoinGlobal(orders, prices, item, func(order string, price int64) string {
		return fmt.Sprint(order, " for ", price)
	}, serde.String).To("priced")

	d := start(b, topologytest.Partitions("orders", 4))
	price := topologytest.Input(d, "prices", serde.String, serde.Int64)
	order := topologytest.Input(d, "orders", serde.String, serde.String)
	price.Send("tea", 3, time.UnixMilli(1))
	order.Send("ann", "tea", time.UnixMilli(2))
	order.Send("bob", "milk", time.UnixMilli(3)) // has no price yet
	price.Send("tea", 4, time.UnixMilli(4))
	order.Send("bob", "tea", time.UnixMilli(5))
	printTopic(d, "priced", serde.String)
	// Output:
	// priced: ann tea for 3
	// priced: bob tea for 4
}

// likes counts the likes of each page, for all tasks.
var likes = state.KeyValue("likes", serde.String, serde.Int64)

// liking is the only processor that writes likes.
type liking struct {
	likes state.KeyValueStore[string, int64]
}

func (p *liking) Init(ctx processor.Context[struct{}, struct{}]) error {
	p.likes = state.Open(ctx, likes)
	return nil
}

func (p *liking) Process(_ processor.Context[struct{}, struct{}], r processor.Record[string, string]) error {
	n, _, err := p.likes.Get(r.Key)
	return errors.Join(err, p.likes.Put(r.Key, n+1))
}

// A global store with a processor: each record of the topic counts. Views are joined with
// the counts.
func ExampleGlobalStore() {
	b := topology.New()
	counts := topology.GlobalStore(b, "liked", serde.String, serde.String, likes, func() *liking { return &liking{} })
	views := topology.Source(b, "views", serde.String, serde.String)
	page := func(page string) string { return page }
	topology.LeftJoinGlobal(views, counts, page, func(page string, n int64, _ bool) string {
		return fmt.Sprint(page, " has ", n)
	}, serde.String).To("shown")

	d := start(b)
	liked := topologytest.Input(d, "liked", serde.String, serde.String)
	view := topologytest.Input(d, "views", serde.String, serde.String)
	liked.Send("home", "ann", time.UnixMilli(1))
	liked.Send("home", "bob", time.UnixMilli(2))
	view.Send("cid", "home", time.UnixMilli(3))
	view.Send("cid", "about", time.UnixMilli(4))
	printTopic(d, "shown", serde.String)
	// Output:
	// shown: cid home has 2
	// shown: cid about has 0
}

// Orders with the names of their users, once without and once with the orders of unknown
// users.
func ExampleJoin() {
	b := topology.New()
	orders := topology.Source(b, "orders", serde.String, serde.String)
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	topology.Join(orders, users, func(order, user string) string { return user + " orders " + order }, serde.String).To("known")
	topology.LeftJoin(orders, users, func(order, user string, ok bool) string {
		if !ok {
			return "somebody orders " + order
		}
		return user + " orders " + order
	}, serde.String).To("all")

	d := start(b)
	placed := topologytest.Input(d, "orders", serde.String, serde.String)
	known := topologytest.Input(d, "users", serde.String, serde.String)
	placed.Send("u1", "tea", time.UnixMilli(1))
	known.Send("u1", "Ann", time.UnixMilli(2))
	placed.Send("u1", "cake", time.UnixMilli(3))
	printTopic(d, "known", serde.String)
	printTopic(d, "all", serde.String)
	// Output:
	// known: u1 Ann orders cake
	// all: u1 somebody orders tea
	// all: u1 Ann orders cake
}

// The account of each user, for users that have both rows.
func ExampleJoinTables() {
	b := topology.New()
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	accounts := topology.SourceTable(b, "accounts", serde.String, serde.Int64)
	topology.JoinTables(users, accounts, func(user string, cents int64) string {
		return fmt.Sprintf("%s has %d.%02d", user, cents/100, cents%100)
	}, serde.String).Stored("balances").Stream().To("out")

	d := start(b, topologytest.EveryUpdate())
	topologytest.Input(d, "users", serde.String, serde.String).Send("u1", "Ann", time.UnixMilli(1))
	balance := topologytest.Input(d, "accounts", serde.String, serde.Int64)
	balance.Send("u1", 1050, time.UnixMilli(2))
	balance.Send("u2", 99, time.UnixMilli(3))
	balance.Send("u1", 20, time.UnixMilli(4))
	printTopic(d, "out", serde.String)
	// Output:
	// out: u1 Ann has 10.50
	// out: u1 Ann has 0.20
}

// Views of an advertisement, the clicks that follow within a minute, and the views that
// no click has followed.
func ExampleLeftJoinWindow() {
	b := topology.New()
	views := topology.Source(b, "views", serde.String, serde.String)
	clicks := topology.Source(b, "clicks", serde.String, serde.String)
	afterwards := topology.Within(time.Minute).Before(0).Grace(10 * time.Second)
	topology.LeftJoinWindow(views, clicks, "followed", afterwards, func(view, click string, ok bool) string {
		if !ok {
			return view + ": nothing"
		}
		return view + ": " + click
	}, serde.String).To("followed-out")

	d := start(b)
	seen := topologytest.Input(d, "views", serde.String, serde.String)
	clicked := topologytest.Input(d, "clicks", serde.String, serde.String)
	seen.Send("ann", "shoes", time.Unix(0, 0))
	seen.Send("bob", "hats", time.Unix(5, 0))
	clicked.Send("ann", "buy", time.Unix(60, 0))
	clicked.Send("bob", "buy", time.Unix(66, 0))
	seen.Send("eve", "shoes", time.Unix(100, 0))
	printTopic(d, "followed-out", serde.String)
	// Output:
	// followed-out: ann shoes: buy
	// followed-out: bob hats: nothing
}

// Orders with the names of their owners. The orders are keyed by their own number, so the
// owner is a foreign key. Orders of nobody are joined too.
func ExampleLeftJoinForeign() {
	type Order struct{ Item, Owner string }
	b := topology.New()
	orders := topology.SourceTable(b, "orders", serde.String, serde.JSON[Order]())
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	owner := func(o Order) (string, bool) { return o.Owner, o.Owner != "" }
	topology.LeftJoinForeign(orders, users, "owned", owner, func(o Order, user string, ok bool) string {
		if !ok {
			return o.Item + " for somebody"
		}
		return o.Item + " for " + user
	}, serde.String).Stream().To("out")

	d := start(b, topologytest.EveryUpdate())
	placed := topologytest.Input(d, "orders", serde.String, serde.JSON[Order]())
	known := topologytest.Input(d, "users", serde.String, serde.String)
	placed.Send("o1", Order{"tea", "u1"}, time.UnixMilli(1))
	placed.Send("o2", Order{"cake", "u1"}, time.UnixMilli(2))
	placed.Send("o3", Order{Item: "milk"}, time.UnixMilli(3))
	known.Send("u1", "Ann", time.UnixMilli(4))
	placed.Send("o3", Order{"milk", "u1"}, time.UnixMilli(5))
	printTopic(d, "out", serde.String)
	// Output:
	// out: o1 tea for somebody
	// out: o2 cake for somebody
	// out: o3 milk for somebody
	// out: o1 tea for Ann
	// out: o2 cake for Ann
	// out: o3 milk for Ann
}
