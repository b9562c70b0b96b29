package main

import (
	"strconv"
	"strings"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// tables has the operators of tables.
func (e *everything) tables() {
	itself := func(s string) string { return s }
	send(e, "residents", topology.GroupTable(e.users, "by-city", itself, serde.String).Count("residents").Stream())
	send(e, "last-click", e.clicks.ToTable("last-click").Stream())

	long := topology.MapTable(e.users, strings.ToUpper, serde.String).Filter(func(city string) bool { return len(city) > 4 }).Stored("long")
	send(e, "long", long.Stream())
	send(e, "kept", e.users.Stored("kept", topology.TTL(4*grace)).Stream())
	send(e, "tagged", topology.ProcessTable(e.users, "tagged", func() *tagged { return &tagged{} }, serde.String, tags).Stream())

	send(e, "home", topology.JoinTables(e.users, e.accounts, home, serde.String).Stream())
	send(e, "home-left", topology.LeftJoinTables(e.users, e.accounts, func(city string, n int64, _ bool) string { return home(city, n) }, serde.String).Stream())
	send(e, "home-outer", topology.OuterJoinTables(e.users, e.accounts, func(city string, _ bool, n int64, _ bool) string { return home(city, n) }, serde.String).Stream())
	e.wealth()

	send(e, "owned", topology.JoinForeign(e.tickets, e.users, "owned", owner, owned, serde.String).Stream())
	maybe := func(ticket, city string, _ bool) string { return owned(ticket, city) }
	send(e, "owned-left", topology.LeftJoinForeign(e.tickets, e.users, "owned-left", owner, maybe, serde.String).Stream())
}

var tags = state.KeyValue("tags", serde.String, serde.String)

// tagged is a processor of a table. It keeps a row for each user, and forwards it.
type tagged struct {
	tags state.KeyValueStore[string, string]
}

func (p *tagged) Init(ctx processor.FixedKeyContext[string, string]) error {
	p.tags = state.Open(ctx.Stores(), tags)
	return nil
}

func (p *tagged) Process(ctx processor.FixedKeyContext[string, string], r processor.FixedKeyRecord[string, string]) error {
	if r.NoValue() {
		ctx.Forward(processor.WithFixedKeyValue(r, "").WithoutValue())
		_, _, err := p.tags.Delete(r.Key())
		return err
	}
	if err := p.tags.Put(r.Key(), "tag of "+r.Value()); err != nil {
		return err
	}
	tag, _, err := p.tags.Get(r.Key())
	ctx.Forward(processor.WithFixedKeyValue(r, tag))
	return err
}

// resident is a row of the join of users and accounts.
type resident struct {
	City    string `json:"city"`
	Balance int64  `json:"balance"`
}

// wealth sums the balances of each city. Both sides of the join change rows of one key,
// and each old row must be subtracted exactly as it was added.
func (e *everything) wealth() {
	residents := topology.JoinTables(e.users, e.accounts, func(city string, n int64) resident { return resident{city, n} }, serde.JSON[resident]())
	byCity := topology.GroupTable(residents, "wealth-by-city", func(r resident) string { return r.City }, serde.String)
	add := func(a int64, r processor.Record[string, resident]) int64 { return a + r.Value.Balance }
	subtract := func(a int64, r processor.Record[string, resident]) int64 { return a - r.Value.Balance }
	send(e, "wealth", topology.AggregateTable(byCity, "wealth", zero, add, subtract, serde.Int64).Stream())
}

func home(city string, balance int64) string { return city + "/" + strconv.FormatInt(balance, 10) }

// owner is the user of a ticket "user/number". The ticket "-" has none.
func owner(ticket string) (string, bool) {
	user, _, ok := strings.Cut(ticket, "/")
	return user, ok
}

func owned(ticket, city string) string { return ticket + " in " + city }
