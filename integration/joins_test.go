package integration

import (
	"log/slog"
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestJoins: a stream, two tables and a global table are joined, and again after the disk
// was lost. The topic of the global table has another number of partitions, as have the
// tables of a foreign-key join.
func TestJoins(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	application, orders, users, cities, out := name(t, "app"), name(t, "orders"), name(t, "users"), name(t, "cities"), name(t, "out")
	for _, topic := range []string{orders, users, cities, out} {
		c.createTopic(t, topic, 2)
	}
	prices := name(t, "prices")
	c.createTopic(t, prices, 3)
	c.cleanUp(t, application)
	send := func(topic, key, value string) {
		t.Helper()
		if err := c.client(t).ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	run := func() {
		t.Helper()
		b := topology.New()
		known := topology.SourceTable(b, users, serde.String, serde.String)
		homes := topology.JoinTables(known, topology.SourceTable(b, cities, serde.String, serde.String), func(user, city string) string {
			return user + " of " + city
		}, serde.String)
		price := topology.GlobalTable(b, prices, serde.String, serde.String)
		placed := topology.JoinGlobal(topology.Source(b, orders, serde.String, serde.String), price, func(item string) string { return item },
			func(item, price string) string { return item + " for " + price }, serde.String)
		topology.Join(placed, homes, func(order, home string) string { return home + ": " + order }, serde.String).To(out)
		built, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		app, err := millrace.New(built, millrace.Config{ApplicationID: application, Brokers: []string{c.brokers}, StateDir: t.TempDir(),
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.finish(t, app, application, users, cities, orders); err != nil {
			t.Fatal(err)
		}
	}
	send(users, "u1", "Ann")
	send(users, "u2", "Bob")
	send(cities, "u1", "Rome")
	send(cities, "u2", "Bern")
	send(prices, "tea", "3")
	send(prices, "milk", "1")
	run()
	send(prices, "milk", "2")
	send(orders, "u1", "tea")
	send(orders, "u2", "milk")
	run()
	got := map[string]string{}
	c.committed(t, out, func(r *kgo.Record) { got[string(r.Key)] = string(r.Value) })
	if want := map[string]string{"u1": "Ann of Rome: tea for 3", "u2": "Bob of Bern: milk for 2"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
