package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// ttlRow is a row of a model.
type ttlRow struct{ value, at int64 }

// ttlModel has a table of prices, a count of orders by key, both with a TTL, and what a
// join of the orders with the prices sends.
type ttlModel struct {
	ttl, now       int64
	prices, counts map[string]ttlRow
	joined         []string
	dropped        int64
}

// find returns a row, unless it has expired.
func (m *ttlModel) find(rows map[string]ttlRow, key string) (ttlRow, bool) {
	row, ok := rows[key]
	return row, ok && row.at+m.ttl > m.now
}

// late moves stream time, and reports whether a record changes nothing.
func (m *ttlModel) late(at int64) bool {
	m.now = max(m.now, at)
	if at+m.ttl > m.now {
		return false
	}
	m.dropped++
	return true
}

func (m *ttlModel) price(key string, value, at int64, none bool) {
	switch {
	case m.late(at):
	case none:
		delete(m.prices, key)
	default:
		m.prices[key] = ttlRow{value, at}
	}
}

func (m *ttlModel) order(key string, value, at int64) {
	if late := m.late(at); !late {
		row, _ := m.find(m.counts, key)
		if _, ok := m.find(m.counts, key); !ok {
			row = ttlRow{}
		}
		m.counts[key] = ttlRow{row.value + 1, max(row.at, at)}
	}
	if price, ok := m.find(m.prices, key); ok {
		m.joined = append(m.joined, fmt.Sprint(key, " ", value*price.value))
	}
}

// live returns the values of the rows that have not expired.
func (m *ttlModel) live(rows map[string]ttlRow) map[string]int64 {
	live := map[string]int64{}
	for key := range rows {
		if row, ok := m.find(rows, key); ok {
			live[key] = row.value
		}
	}
	return live
}

func parityOf(price int64) string { return []string{"even", "odd"}[price%2] }

func ttlTopology(t *testing.T, ttl time.Duration, opts ...topology.StoreOption) *topology.Topology {
	t.Helper()
	table := []topology.ToTableOption{topology.TTL(ttl)}
	counted := []topology.TableOption{topology.TTL(ttl)}
	for _, o := range opts {
		table, counted = append(table, o), append(counted, o)
	}
	b := topology.New()
	// One topic, because the order of two is not the same when a crash makes a task read
	// them again. Orders are negative.
	in := topology.Source(b, "in", serde.String, serde.Int64)
	prices := in.Filter(func(v int64) bool { return v >= 0 }, topology.Named("priced")).ToTable("prices", table...)
	orders := in.Filter(func(v int64) bool { return v < 0 }, topology.Named("ordered"))
	counts := topology.GroupByKey(orders, "by-key").Count("counts", counted...)
	counts.Stream().To("counts-out")
	topology.Join(orders, prices, func(n, price int64) string { return fmt.Sprint(n * price) }, serde.String).To("joined")
	topology.AggregateTable(topology.GroupTable(prices, "by-parity", parityOf, serde.String), "sums", noSum,
		addPrice, subtractPrice, serde.Int64).Stream().To("sums-out")

	product := func(price, count int64) int64 { return price * count }
	both := topology.JoinTables(prices, counts, product, serde.Int64).Stored("both")
	topology.AggregateTable(topology.GroupTable(both, "both-by-parity", parityOf, serde.String), "products", noSum,
		addPrice, subtractPrice, serde.Int64).Stream().To("products-out")
	topology.JoinForeign(prices, counts, "foreign", countOf, product, serde.Int64).Stored("with-count").Stream().To("foreign-out")
	prices.Suppress("calm", topology.UntilTimeLimit(5*time.Millisecond)).Stored("calmed")
	return build(t, b)
}

func addPrice(sum int64, r processor.Record[string, int64]) int64      { return sum + r.Value }
func subtractPrice(sum int64, r processor.Record[string, int64]) int64 { return sum - r.Value }

// countOf returns the key of the count that a price is joined with.
func countOf(price int64) (string, bool) { return fmt.Sprint(price % 6), true }

// TestTTLEqualsModel compares tables with a TTL with naive models, over commit intervals,
// EveryUpdate, timestamps that are out of order or jump, crashes and lost disks.
func TestTTLEqualsModel(t *testing.T) {
	t.Parallel()
	// The index of the rows has segments of 1 ms and of 6 ms.
	ttls := []int64{80, 400}
	for name, opts := range map[string][]topology.StoreOption{"on disk": nil, "in memory": {topology.InMemory()}} {
		var topologies []*topology.Topology
		for _, ttl := range ttls {
			topologies = append(topologies, ttlTopology(t, time.Duration(ttl)*time.Millisecond, opts...))
		}
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/every update %t", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 16, func(t *testing.T, seed uint64) {
					which := seed % uint64(len(ttls))
					m := &ttlModel{ttl: ttls[which], now: -1, prices: map[string]ttlRow{}, counts: map[string]ttlRow{}}
					d := ttlRun(t, topologies[which], every, seed, m)
					checkTTL(t, d, m, fmt.Sprintf("seed %d", seed))
				})
			})
		}
	}
}

func ttlRun(t *testing.T, topo *topology.Topology, every bool, seed uint64, m *ttlModel) *topologytest.Driver {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	opts := []topologytest.Option{topologytest.CommitInterval(time.Duration(1+r.IntN(40)) * time.Millisecond), topologytest.Start(start)}
	if every {
		opts = append(opts, topologytest.EveryUpdate())
	}
	d := topologytest.New(t, topo, opts...)
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	at := start.UnixMilli()
	for range 150 {
		at += r.Int64N(8)
		switch r.IntN(12) {
		case 0:
			at += r.Int64N(2 * m.ttl)
		case 1:
			at -= r.Int64N(2 * m.ttl)
		}
		rec := processor.Record[string, int64]{Key: fmt.Sprint(r.IntN(6)), Value: 1 + r.Int64N(9), Timestamp: processor.Timestamp(at)}
		if r.IntN(2) == 0 {
			rec.Value = -rec.Value
			m.order(rec.Key, rec.Value, at)
		} else {
			rec.NoValue = r.IntN(6) == 0
			m.price(rec.Key, rec.Value, at, rec.NoValue)
		}
		in.SendRecord(rec)
		d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
		if r.IntN(25) == 0 {
			d.CrashAll(disks[r.IntN(len(disks))])
		}
	}
	d.Commit()
	return d
}

// checkTTL compares the rows, and what was sent, with the model.
func checkTTL(t *testing.T, d *topologytest.Driver, m *ttlModel, where string) {
	t.Helper()
	for table, want := range map[string]map[string]int64{"prices": m.live(m.prices), "counts": m.live(m.counts)} {
		got := map[string]int64{}
		for e, err := range topologytest.Store[state.KeyValueStore[string, int64]](d, table, 0).All() {
			if err != nil {
				t.Fatal(err)
			}
			got[e.Key] = e.Value
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%s: table %s has %v, want %v", where, table, got, want)
		}
	}
	if got, want := lastOf(d, "counts-out"), m.live(m.counts); !maps.Equal(got, want) {
		t.Fatalf("%s: the counts that were sent are %v, want %v", where, got, want)
	}
	sums, products, foreign, counts := map[string]int64{}, map[string]int64{}, map[string]int64{}, m.live(m.counts)
	for key, price := range m.live(m.prices) {
		sums[parityOf(price)] += price
		if count := counts[key]; count > 0 {
			products[parityOf(price*count)] += price * count
		}
		if of, _ := countOf(price); counts[of] > 0 {
			foreign[key] = price * counts[of]
		}
	}
	for topic, want := range map[string]map[string]int64{"sums-out": sums, "products-out": products} {
		got := lastOf(d, topic)
		empty := func(_ string, sum int64) bool { return sum == 0 } // no rows
		maps.DeleteFunc(got, empty)
		if !maps.Equal(got, want) {
			t.Fatalf("%s: topic %s leads to %v, want %v", where, topic, got, want)
		}
	}
	if got := lastOf(d, "foreign-out"); !maps.Equal(got, foreign) {
		t.Fatalf("%s: the join by foreign keys leads to %v, want %v", where, got, foreign)
	}
	var joined []string
	for _, r := range topologytest.Output(d, "joined", serde.String, serde.String).Records() {
		joined = append(joined, r.Key+" "+r.Value)
	}
	if !slices.Equal(joined, m.joined) {
		t.Fatalf("%s: joined\n %v, want\n %v", where, joined, m.joined)
	}
	if got := d.DropReasons()["expired row"]; got < m.dropped {
		t.Fatalf("%s: %d records counted as dropped, want at least %d", where, got, m.dropped)
	}
}

// lastOf returns the rows that the updates in a topic lead to.
func lastOf(d *topologytest.Driver, topic string) map[string]int64 {
	rows := map[string]int64{}
	for _, r := range topologytest.Output(d, topic, serde.String, serde.Int64).Records() {
		if rows[r.Key] = r.Value; r.NoValue {
			delete(rows, r.Key)
		}
	}
	return rows
}

// TestManyRowsExpireAtOnce: a commit deletes a bounded number of rows. The deletions of
// all rows are forwarded.
func TestManyRowsExpireAtOnce(t *testing.T) {
	t.Parallel()
	const rows = 10_010
	b := topology.New()
	topology.SourceTable(b, "in", serde.String, serde.Int64, topology.TTL(time.Second)).Stream().To("out")
	d := topologytest.New(t, build(t, b), topologytest.CommitInterval(time.Hour))
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	for i := range int64(rows) {
		in.Send(fmt.Sprint(i), i, start)
	}
	d.Commit()
	in.Send("last", 1, start.Add(time.Minute))
	d.Commit()
	d.Commit()
	if got := lastOf(d, "out"); !maps.Equal(got, map[string]int64{"last": 1}) {
		t.Errorf("the updates lead to %d rows, want the last one", len(got))
	}
}
