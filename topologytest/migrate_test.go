package topologytest_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// amount is the third format of the values: int64, float64, amount. It could be changed
// in place, so stores read old values from the disk.
type amount struct{ Cents []float64 }

func amountOf(v float64) amount { return amount{[]float64{v}} }

func (a amount) cents() float64 {
	if len(a.Cents) == 0 {
		return 0
	}
	return a.Cents[0]
}

var (
	floats  = topology.Migrate(serde.Int64, func(v int64) float64 { return float64(v) })
	amounts = topology.TryMigrate(serde.Float64, func(v float64) (amount, error) { return amountOf(v), nil })
)

// number is a format of values, as the topology computes with it.
type number[V any] struct {
	serde   serde.Serde[V]
	of      func(int64) V
	add     func(a, b V) V
	negate  func(V) V
	int     func(V) int64
	options []topology.MigrateOption
	store   []state.Option // the same for the store of a processor
}

var (
	intNumber = number[int64]{
		serde: serde.Int64, of: func(n int64) int64 { return n },
		add: func(a, b int64) int64 { return a + b }, negate: func(v int64) int64 { return -v }, int: func(v int64) int64 { return v },
	}
	floatNumber = number[float64]{
		serde: serde.Float64, of: func(n int64) float64 { return float64(n) },
		add: func(a, b float64) float64 { return a + b }, negate: func(v float64) float64 { return -v }, int: func(v float64) int64 { return int64(v) },
		options: []topology.MigrateOption{floats},
		store:   []state.Option{state.Migrate(serde.Int64, func(v int64) float64 { return float64(v) })},
	}
	amountNumber = number[amount]{
		serde: serde.JSON[amount](), of: func(n int64) amount { return amountOf(float64(n)) },
		add:    func(a, b amount) amount { return amountOf(a.cents() + b.cents()) },
		negate: func(v amount) amount { return amountOf(-v.cents()) }, int: func(v amount) int64 { return int64(v.cents()) },
		options: []topology.MigrateOption{floats, amounts},
		store:   []state.Option{state.Migrate(serde.Int64, func(v int64) float64 { return float64(v) }), state.Migrate(serde.Float64, amountOf)},
	}
)

// adder adds the values of each key in a store of its own.
type adder[V any] struct {
	n    number[V]
	spec state.Spec[string, V]
	rows state.KeyValueStore[string, V]
}

func (s *adder[V]) Init(ctx processor.Context[string, int64]) error {
	s.rows = state.Open(ctx, s.spec)
	return nil
}

func (s *adder[V]) Process(_ processor.Context[string, int64], r processor.Record[string, int64]) error {
	v, _, err := s.rows.Get(r.Key)
	if err != nil {
		return err
	}
	return s.rows.Put(r.Key, s.n.add(v, s.n.of(r.Value)))
}

// history is that of the versioned store, long enough for the records of some commits.
const history = 60 * time.Millisecond

// numbersTopology keeps the numbers of a topic in stores of all kinds.
func numbersTopology[V any](t *testing.T, n number[V], opts ...topology.StoreOption) *topology.Topology {
	t.Helper()
	var table []topology.ToTableOption
	var aggregate []topology.TableOption
	var windowed []topology.WindowedTableOption
	for _, o := range n.options {
		table, aggregate, windowed = append(table, o), append(aggregate, o), append(windowed, o)
	}
	for _, o := range opts {
		table, aggregate, windowed = append(table, o), append(aggregate, o), append(windowed, o)
	}
	zero := func() (v V) { return v }
	add := func(sum V, r processor.Record[string, int64]) V { return n.add(sum, n.of(r.Value)) }

	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	newest := topology.MapValues(in, n.of, n.serde).ToTable("newest", table...)
	topology.AggregateTable(topology.GroupTable(newest, "by-value", func(v V) string { return fmt.Sprint(n.int(v) % 7) }, serde.String), "by-digit", zero,
		func(sum V, r processor.Record[string, V]) V { return n.add(sum, r.Value) },
		func(sum V, r processor.Record[string, V]) V { return n.add(sum, n.negate(r.Value)) }, n.serde, aggregate...)
	owners := topology.SourceTable(b, "owners", serde.String, serde.String)
	topology.JoinForeign(newest, owners, "owned", func(v V) (string, bool) { return fmt.Sprint(n.int(v) % 5), true },
		func(v V, owner string) string { return fmt.Sprint(n.int(v), owner) }, serde.String).Stored("owned-rows")
	topology.MapValues(in, n.of, n.serde).ToTable("versions", append(table, topology.Versioned(history))...)
	byKey := topology.GroupByKey(in, "by-key")
	sums := topology.Aggregate(byKey, "sums", zero, add, n.serde, aggregate...)
	calm := sums.Suppress("calm", topology.UntilTimeLimit(10*time.Millisecond), aggregate...)
	topology.MapValues(calm.Stream(), n.int, serde.Int64).To("calm-sums")
	topology.AggregateWindows(byKey.Window(topology.Tumbling(20*time.Millisecond)), "per-window", zero, add, n.serde, windowed...)
	topology.AggregateWindows(byKey.Window(topology.Sliding(15*time.Millisecond)), "near", zero, add, n.serde, windowed...)
	topology.AggregateSessions(byKey.Sessions(5*time.Millisecond), "visits", zero, add, n.add, n.serde, windowed...)
	spec := state.KeyValue("seen", serde.String, n.serde, n.store...)
	topology.Process(in, "adder", func() *adder[V] { return &adder[V]{n: n, spec: spec} }, serde.String, serde.Int64, spec)
	return build(t, b)
}

// numberRows returns the rows of all stores as text.
func numberRows(t *testing.T, d *topologytest.Driver) map[string]string {
	t.Helper()
	rows := map[string]string{}
	add := func(store string, key, value any, at processor.Timestamp, err error) {
		if err != nil {
			t.Fatalf("store %s: %v", store, err)
		}
		rows[fmt.Sprint(store, " ", key)] = fmt.Sprint(value, "@", int64(at))
	}
	for _, name := range []string{"newest", "by-digit", "sums", "seen"} {
		for e, err := range topologytest.Store[state.KeyValueStore[string, amount]](d, name, 0).All() {
			switch {
			case name == "by-digit" && e.Value.cents() == 0:
				continue // merged updates may never reach the group
			case name == "by-digit":
				e.Timestamp = 0 // that of the last update, which may be merged
			}
			add(name, e.Key, e.Value, e.Timestamp, err)
		}
	}
	for e, err := range topologytest.Store[state.KeyValueStore[string, string]](d, "owned-rows", 0).All() {
		add("owned-rows", e.Key, e.Value, 0, err)
	}
	for _, name := range []string{"per-window", "near"} {
		for e, err := range topologytest.Store[windowstore.Store[string, amount]](d, name, 0).All() {
			add(name, fmt.Sprint(e.Key, e.Start), e.Value, e.Timestamp, err)
		}
	}
	for e, err := range topologytest.Store[sessionstore.Store[string, amount]](d, "visits", 0).FindAll(0, math.MaxInt64) {
		add("visits", fmt.Sprint(e.Key, e.Start, e.End), e.Value, e.Timestamp, err)
	}
	versions := topologytest.Store[versionedstore.Store[string, amount]](d, "versions", 0)
	for key := range 8 {
		for at := start; at.Sub(start) < time.Second; at = at.Add(3 * time.Millisecond) {
			v, ok, err := versions.GetAsOf(fmt.Sprint(key), processor.TimestampOf(at))
			if ok || err != nil {
				add("versions", fmt.Sprint(key, " as of ", at), v.Value, v.From, err)
			}
		}
	}
	return rows
}

// TestMigratedStoresEqualNewOnes runs three versions of a program one after the other,
// each with other values, over commit intervals, crashes and lost disks. In the end, the
// stores have the same rows as those of the last version, if it had run from the start.
func TestMigratedStoresEqualNewOnes(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]topology.StoreOption{"on disk": nil, "in memory": {topology.InMemory()}} {
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/every update %t", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 8, func(t *testing.T, seed uint64) {
					runNumbers(t, seed, every, opts)
				})
			})
		}
	}
}

func runNumbers(t *testing.T, seed uint64, every bool, opts []topology.StoreOption) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 17))
	driverOpts := []topologytest.Option{topologytest.CommitInterval(time.Duration(1+r.IntN(40)) * time.Millisecond), topologytest.Start(start)}
	if r.IntN(2) == 0 {
		driverOpts = append(driverOpts, seam.SweepRows(1+r.IntN(5)).(topologytest.Option))
	}
	if every {
		driverOpts = append(driverOpts, topologytest.EveryUpdate())
	}
	versions := []*topology.Topology{
		numbersTopology(t, intNumber, opts...), numbersTopology(t, floatNumber, opts...), numbersTopology(t, amountNumber, opts...),
	}
	d := topologytest.New(t, versions[0], driverOpts...)
	reference := topologytest.New(t, versions[2], topologytest.Start(start))
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	at, n := start.UnixMilli(), 60
	for version := range versions {
		if version > 0 {
			d.Commit()
			d.RestartWith(versions[version])
		}
		for range n {
			at += r.Int64N(6)
			rec := processor.Record[string, int64]{Key: fmt.Sprint(r.IntN(8)), Value: 1 + r.Int64N(90), Timestamp: processor.Timestamp(at - r.Int64N(4))}
			for _, to := range []*topologytest.Driver{d, reference} {
				topologytest.Input(to, "in", serde.String, serde.Int64).SendRecord(rec)
			}
			if r.IntN(6) == 0 {
				sendOwner(r, d, reference)
			}
			d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
			if r.IntN(20) == 0 {
				d.CrashAll(disks[r.IntN(len(disks))])
			}
		}
	}
	d.Commit()
	got, want := numberRows(t, d), numberRows(t, reference)
	for _, of := range []struct {
		d    *topologytest.Driver
		rows map[string]string
	}{{d, got}, {reference, want}} {
		addPassedOn(t, of.d, of.rows)
	}
	for key, row := range want {
		if got[key] != row {
			t.Errorf("seed %d: %s is %s, want %s", seed, key, got[key], row)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Fatalf("seed %d: the migrated stores have more rows: %v", seed, got)
	}
}

// sendOwner changes or deletes an owner in both applications.
func sendOwner(r *rand.Rand, to ...*topologytest.Driver) {
	rec := processor.Record[string, string]{Key: fmt.Sprint(r.IntN(5)), NoValue: r.IntN(4) == 0, Timestamp: processor.TimestampOf(start)}
	if !rec.NoValue {
		rec.Value = fmt.Sprint(" of ", r.IntN(100))
	}
	for _, d := range to {
		topologytest.Input(d, "owners", serde.String, serde.String).SendRecord(rec)
	}
}

// addPassedOn ends the time limit of Suppress, and adds the last record of each key that
// it has passed on.
func addPassedOn(t *testing.T, d *topologytest.Driver, rows map[string]string) {
	t.Helper()
	topologytest.Input(d, "in", serde.String, serde.Int64).Send("end", 1, start.Add(time.Hour))
	d.Commit()
	for _, r := range d.Topic("calm-sums") {
		sum, err := serde.Int64.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		rows["calm "+string(r.Key)] = fmt.Sprint(sum)
	}
}

// TestMigrationIsDeployed looks at what a user sees: the sweep, the headers of the
// changelog, and the refusal of the version before.
func TestMigrationIsDeployed(t *testing.T) {
	t.Parallel()
	sums := func(opts ...topology.TableOption) *topology.Topology {
		b := topology.New()
		topology.Aggregate(topology.GroupByKey(topology.Source(b, "in", serde.String, serde.Int64), "by-key"), "sums", func() string { return "0" },
			func(sum string, r processor.Record[string, int64]) string {
				n, _ := strconv.ParseInt(sum, 10, 64)
				return strconv.FormatInt(n+r.Value, 10)
			}, serde.String, opts...).Stream().To("out")
		return build(t, b)
	}
	b := topology.New()
	old := topology.Aggregate(topology.GroupByKey(topology.Source(b, "in", serde.String, serde.Int64), "by-key"), "sums", func() int64 { return 0 },
		func(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value }, serde.Int64)
	old.Stream().To("out")
	before := build(t, b)
	toText := topology.Migrate(serde.Int64, func(v int64) string { return strconv.FormatInt(v, 10) })

	d := topologytest.New(t, before)
	in := topologytest.Input(d, "in", serde.String, serde.Int64)
	in.Send("a", 1, start)
	in.Send("b", 2, start)
	d.RestartWith(sums(toText))
	d.Commit()
	changelog := d.Topic("test-sums-changelog")
	if len(changelog) != 4 {
		t.Fatalf("the changelog has %d records: the rows are not converted", len(changelog))
	}
	for i, r := range changelog {
		if converted := i >= 2; converted != (len(r.Headers) == 1) || converted && (r.Headers[0].Key != "millrace-format" || r.Timestamp != processor.TimestampOf(start)) {
			t.Errorf("record %d of the changelog: %+v", i, r)
		}
	}
	if n := len(d.Topic("out")); n != 2 {
		t.Errorf("the conversion was forwarded: %d records", n)
	}
	in.Send("a", 3, start)
	if v, _, err := topologytest.Store[state.KeyValueStore[string, string]](d, "sums", 0).Get("a"); v != "4" || err != nil {
		t.Errorf("a is %q, %v", v, err)
	}
	for want, topo := range map[string]*topology.Topology{
		"the newest format of this topology is 0": before,
		"has lost 1 of their Migrate options":     sums(),
		"whose format 0 was":                      sums(topology.Migrate(serde.Float64, func(float64) string { return "" })),
	} {
		if err := d.Try(func() { d.RestartWith(topo) }); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "store sums ") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	d.RestartWith(sums(topology.Migrated(1)))
	in.Send("b", 3, start)
	d.CrashAll(topologytest.LoseDisk)
	if v, _, err := topologytest.Store[state.KeyValueStore[string, string]](d, "sums", 0).Get("b"); v != "5" || err != nil {
		t.Errorf("b is %q, %v", v, err)
	}
}

// Rows that a Suppress holds back are converted. They count with the size that they have
// in the newest format, before the sweep writes them and after it.
func TestHeldRowsAreMigrated(t *testing.T) {
	t.Parallel()
	before := topology.New()
	topology.SourceTable(before, "in", serde.String, serde.Int64).
		Suppress("calm", topology.UntilTimeLimit(time.Minute).MaxBytes(1000)).Stream().To("out")
	after := func(opts ...topology.MigrateOption) *topology.Topology {
		b := topology.New()
		var table []topology.SourceTableOption
		var held []topology.TableOption
		for _, o := range opts {
			table, held = append(table, o), append(held, o)
		}
		topology.SourceTable(b, "in", serde.String, serde.String, table...).
			Suppress("calm", topology.UntilTimeLimit(time.Minute).MaxBytes(1000), held...).Stream().To("out")
		return build(t, b)
	}
	// A row takes some 50 bytes, and 400 more when it is converted.
	long := topology.Migrate(serde.Int64, func(v int64) string { return strings.Repeat(strconv.FormatInt(v, 10), 400) })
	for name, disk := range map[string]topologytest.Disk{"kept": topologytest.KeepDisk, "lost": topologytest.LoseDisk} {
		d := topologytest.New(t, build(t, before), topologytest.Start(start))
		ints := topologytest.Input(d, "in", serde.String, serde.Int64)
		for i := range 4 {
			ints.Send(fmt.Sprint(i), int64(i), start.Add(time.Duration(i)*time.Second))
		}
		texts := topologytest.Input(d, "in", serde.String, serde.String)
		passedOn := func() (rows []string) {
			for _, r := range d.Topic("out") {
				rows = append(rows, fmt.Sprint(string(r.Key), " ", len(r.Value), " ", string(r.Value[:1])))
			}
			return rows
		}
		d.CrashAll(disk)
		d.RestartWith(after(long))
		d.Commit() // converts them
		// The bound has room for two of them.
		if got, want := passedOn(), []string{"0 400 0", "1 400 1"}; !slices.Equal(got, want) {
			t.Errorf("disk %s: the migration passes on %q, want %q", name, got, want)
		}
		d.CrashAll(disk)
		d.RestartWith(after(topology.Migrated(1)))
		texts.Send("4", "4", start.Add(5*time.Second))
		d.Commit()
		if n := len(passedOn()); n != 2 {
			t.Errorf("disk %s: %d rows are passed on, although a small row fits", name, n)
		}
		texts.Send("5", strings.Repeat("5", 200), start.Add(6*time.Second))
		d.Commit()
		if got, want := passedOn()[2:], []string{"2 400 2"}; !slices.Equal(got, want) {
			t.Errorf("disk %s: a large row passes on %q, want %q", name, got, want)
		}
	}
}

// A migration that fails ends the run with an error that names the row. A version with a
// corrected function continues.
func TestMigrationFails(t *testing.T) {
	t.Parallel()
	texts := func(migration topology.SourceTableOption) *topology.Topology {
		b := topology.New()
		topology.SourceTable(b, "rows", serde.String, serde.Nullable(serde.String), migration)
		return build(t, b)
	}
	textOf := func(v int64) (*string, error) {
		text := strconv.FormatInt(v, 10)
		return &text, nil
	}
	b := topology.New()
	topology.SourceTable(b, "rows", serde.String, serde.Int64)
	d := topologytest.New(t, build(t, b))
	in := topologytest.Input(d, "rows", serde.String, serde.Int64)
	in.Send("good", 1, start)
	in.Send("bad", 2, start)
	failed := errors.New("no such currency")
	for want, convert := range map[string]func(int64) (*string, error){
		"no such currency": func(v int64) (*string, error) {
			if v == 2 {
				return nil, failed
			}
			return textOf(v)
		},
		"panic: no such currency":                                func(v int64) (*string, error) { panic(failed) },
		"the migration returned a value that counts as absent: ": func(v int64) (*string, error) { return nil, nil },
	} {
		err := d.Try(func() { d.RestartWith(texts(topology.TryMigrate(serde.Int64, convert))) })
		if err == nil || !strings.Contains(err.Error(), "store rows: convert the row with the key") || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	d.RestartWith(texts(topology.TryMigrate(serde.Int64, textOf)))
	for key, want := range map[string]string{"good": "1", "bad": "2"} {
		if v, _, err := topologytest.Store[state.KeyValueStore[string, *string]](d, "rows", 0).Get(key); err != nil || v == nil || *v != want {
			t.Errorf("%s is %v, %v", key, v, err)
		}
	}
}
