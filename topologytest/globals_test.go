package topologytest_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// priced joins orders "item" with the global table "prices".
func priced(t testing.TB, opts ...topology.GlobalOption) *topology.Topology {
	t.Helper()
	b := topology.New()
	prices := topology.GlobalTable(b, "prices", serde.String, serde.Int64, opts...)
	orders := topology.Source(b, "orders", serde.String, serde.String)
	item := func(order string) string { return order }
	topology.JoinGlobal(orders, prices, item, func(order string, price int64) string { return fmt.Sprint(order, ":", price) }, serde.String).To("priced")
	topology.LeftJoinGlobal(orders, prices, item, func(order string, price int64, ok bool) string { return fmt.Sprint(order, ":", price, ok) }, serde.String).To("all")
	return build(t, b)
}

func texts(d *topologytest.Driver, topic string) (values []string) {
	for _, r := range topologytest.Output(d, topic, serde.String, serde.String).Records() {
		values = append(values, r.Key+"="+r.Value)
	}
	return values
}

// A record of a global topic is applied at once, in all partitions, whatever its
// timestamp and the commit interval.
func TestGlobalTableIsAppliedAtOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]topology.GlobalOption{"on disk": nil, "in memory": {topology.InMemory()}, "named": {topology.Named("tariff")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, priced(t, opts...), topologytest.Partitions("orders", 3), topologytest.Partitions("prices", 2),
				topologytest.CommitInterval(time.Hour))
			prices := topologytest.Input(d, "prices", serde.String, serde.Int64)
			orders := topologytest.Input(d, "orders", serde.String, serde.String)
			at := time.UnixMilli
			orders.Send("o1", "tea", at(1))
			prices.Send("tea", 3, at(1000))
			prices.Send("milk", 2, at(900))
			orders.Send("o2", "tea", at(2))
			orders.Send("o3", "milk", at(3))
			prices.Send("tea", 4, at(5))
			orders.Send("o4", "tea", at(4))
			prices.SendRecord(processor.Record[string, int64]{Key: "tea", NoValue: true})
			prices.SendRecord(processor.Record[string, int64]{NoKey: true, Value: 9})
			orders.Send("o5", "tea", at(5))
			d.Commit()
			got := texts(d, "priced")
			slices.Sort(got)
			if want := []string{"o2=tea:3", "o3=milk:2", "o4=tea:4"}; !slices.Equal(got, want) {
				t.Errorf("inner: %v, want %v", got, want)
			}
			got = texts(d, "all")
			slices.Sort(got)
			if want := []string{"o1=tea:0 false", "o2=tea:3 true", "o3=milk:2 true", "o4=tea:4 true", "o5=tea:0 false"}; !slices.Equal(got, want) {
				t.Errorf("left: %v, want %v", got, want)
			}
			if got := d.DropReasons(); !maps.Equal(got, map[string]int64{"null key": 1}) {
				t.Errorf("dropped %v", got)
			}
		})
	}
}

// A record without the key of a row is joined without a row.
func TestLeftJoinGlobalWithoutKey(t *testing.T) {
	t.Parallel()
	b := topology.New()
	prices := topology.GlobalTable(b, "prices", serde.Nullable(serde.String), serde.Int64)
	orders := topology.Source(b, "orders", serde.String, serde.Nullable(serde.String))
	item := func(order *string) *string {
		if *order == "none" {
			return nil
		}
		return order
	}
	topology.LeftJoinGlobal(orders, prices, item, func(order *string, price int64, ok bool) string {
		return fmt.Sprint(*order, ":", price, ok)
	}, serde.String).To("all")
	d := topologytest.New(t, build(t, b))
	topologytest.Input(d, "prices", serde.String, serde.Int64).Send("tea", 3, start)
	in := topologytest.Input(d, "orders", serde.String, serde.String)
	in.Send("o1", "tea", start)
	in.Send("o2", "none", start)
	want(t, texts(d, "all"), "o1=tea:3 true", "o2=none:0 false")
}

// Whatever a crash leaves of the disk, the table is the same.
func TestGlobalTableAfterCrashes(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]topologytest.Disk{
		"kept": topologytest.KeepDisk, "lost": topologytest.LoseDisk, "stale": topologytest.StaleDisk, "torn": topologytest.TearDisk(1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, priced(t), topologytest.Partitions("prices", 2))
			prices := topologytest.Input(d, "prices", serde.String, serde.Int64)
			for i := range 20 {
				prices.Send(fmt.Sprint("item", i%7), int64(i), time.UnixMilli(int64(i)))
			}
			prices.SendRecord(processor.Record[string, int64]{Key: "item1", NoValue: true})
			d.CrashAll(disk)
			orders := topologytest.Input(d, "orders", serde.String, serde.String)
			for i := range 3 {
				orders.Send("o", fmt.Sprint("item", i), time.UnixMilli(1))
			}
			if got, want := texts(d, "priced"), []string{"o=item0:14", "o=item2:16"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// reviews counts the reviews of each item, and forgets an item when it is told to.
type reviews struct {
	counts state.KeyValueStore[string, int64]
}

var reviewCounts = state.KeyValue("review-counts", serde.String, serde.Int64)

func (p *reviews) Init(ctx processor.Context[struct{}, struct{}]) error {
	p.counts = state.Open(ctx, reviewCounts)
	return nil
}

func (p *reviews) Process(_ processor.Context[struct{}, struct{}], r processor.Record[string, string]) error {
	switch r.Value {
	case "forget":
		_, _, err := p.counts.Delete(r.Key)
		return err
	case "bad":
		return errors.New("a bad review")
	}
	n, _, err := p.counts.Get(r.Key)
	return errors.Join(err, p.counts.Put(r.Key, n+1))
}

// reader forwards what the global store has about each record's value.
type reader struct {
	counts state.Reader[string, int64]
}

func (p *reader) Init(ctx processor.Context[string, string]) error {
	p.counts = state.OpenGlobal(ctx, reviewCounts)
	return nil
}

func (p *reader) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	n, ok, err := p.counts.Get(r.Value)
	if err != nil {
		return err
	}
	var all []string
	for e, err := range p.counts.All() {
		if err != nil {
			return err
		}
		all = append(all, fmt.Sprint(e.Key, e.Value))
	}
	for e, err := range p.counts.ReverseRange("a", "m") {
		if err != nil {
			return err
		}
		all = append(all, "<"+e.Key)
	}
	r.Value = fmt.Sprint(n, ok, " of ", strings.Join(all, ","))
	ctx.Forward(r)
	return nil
}

func reviewed(t testing.TB) *topology.Topology {
	t.Helper()
	b := topology.New()
	counts := topology.GlobalStore(b, "reviews", serde.String, serde.String, reviewCounts, func() *reviews { return &reviews{} })
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "reader", func() *reader { return &reader{} }, serde.String, serde.String, counts).To("out")
	return build(t, b)
}

// opensGlobalAsTable opens a global store with the function for tables.
type opensGlobalAsTable struct{ mistake any }

func (p *opensGlobalAsTable) Init(ctx processor.Context[string, string]) error {
	defer func() { p.mistake = recover() }()
	state.OpenTable(ctx, reviewCounts)
	return nil
}

func (p *opensGlobalAsTable) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	r.Value = fmt.Sprint(p.mistake)
	ctx.Forward(r)
	return nil
}

func TestGlobalStoreIsNotATable(t *testing.T) {
	t.Parallel()
	b := topology.New()
	counts := topology.GlobalStore(b, "reviews", serde.String, serde.String, reviewCounts, func() *reviews { return &reviews{} })
	in := topology.Source(b, "in", serde.String, serde.String)
	newP := func() *opensGlobalAsTable { return &opensGlobalAsTable{} }
	topology.Process(in, "reader", newP, serde.String, serde.String, counts).To("out")
	d := topologytest.New(t, build(t, b))
	topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", time.UnixMilli(1))
	want := []string{"k=open the store of table review-counts: it is a global store: open it with state.OpenGlobal"}
	if got := texts(d, "out"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The processor of a global store gets each record once, even across a restart. After its
// disk was lost, it gets all records again.
func TestGlobalStore(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]topologytest.Disk{"kept": topologytest.KeepDisk, "lost": topologytest.LoseDisk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, reviewed(t), topologytest.Partitions("in", 2), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
			in, votes := topologytest.Input(d, "in", serde.String, serde.String), topologytest.Input(d, "reviews", serde.String, serde.String)
			at := time.UnixMilli(1)
			for _, v := range []string{"tea", "milk", "tea", "rice"} {
				votes.Send(v, "good", at)
			}
			votes.Send("tea", "bad", at)
			votes.Send("rice", "forget", at)
			in.Send("k", "tea", at)
			d.CrashAll(disk)
			votes.Send("tea", "good", at)
			in.Send("k", "tea", at)
			d.Restart()
			in.Send("k", "rice", at)
			want := []string{"k=2 true of milk1,tea2", "k=3 true of milk1,tea3", "k=0 false of milk1,tea3"}
			got := texts(d, "out")
			for i := range got {
				got[i] = strings.TrimSuffix(got[i], ",<milk") // ReverseRange
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if n, _, err := topologytest.Store[state.KeyValueStore[string, int64]](d, "review-counts", 1).Get("tea"); n != 3 || err != nil {
				t.Errorf("in the store: %d, %v", n, err)
			}
		})
	}
}

// Records that cannot be decoded go to the error policy, and do so again if the topic is
// read again.
func TestBadRecordsOfGlobalTable(t *testing.T) {
	t.Parallel()
	bad := func(d *topologytest.Driver) error {
		return d.Try(func() {
			d.Send("prices", 0, []byte("tea"), []byte("three"), 1)
			d.Send("prices", 0, []byte("milk"), []byte{0, 0, 0, 0, 0, 0, 0, 2}, 1)
		})
	}
	t.Run("fail", func(t *testing.T) {
		t.Parallel()
		d := topologytest.New(t, priced(t))
		err := bad(d)
		var failed *processor.Error
		if !errors.As(err, &failed) || failed.Topic != "prices" || failed.Phase != processor.Decode || failed.Offset != 0 {
			t.Errorf("error %v", err)
		}
	})
	for name, policy := range map[string]processor.ErrorPolicy{
		"skip":        {Decode: processor.Skip},
		"dead letter": {Decode: processor.DeadLetter, DeadLetterTopic: "dead"},
		"retry":       {Decode: processor.Retry, Exhausted: processor.DeadLetter, DeadLetterTopic: "dead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, priced(t), topologytest.ErrorPolicy(policy))
			if err := bad(d); err != nil {
				t.Fatal(err)
			}
			d.CrashAll(topologytest.LoseDisk)
			topologytest.Input(d, "orders", serde.String, serde.String).Send("o", "milk", time.UnixMilli(1))
			if got, want := texts(d, "priced"), []string{"o=milk:2"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if policy.DeadLetterTopic == "" {
				return
			}
			letters := d.Topic("dead")
			for _, letter := range letters {
				offset, _ := letter.Headers.Get(processor.DeadLetterOffset)
				topic, _ := letter.Headers.Get(processor.DeadLetterTopic)
				if string(letter.Value) != "three" || string(offset) != "0" || string(topic) != "prices" {
					t.Errorf("letter %v", letter)
				}
			}
			if len(letters) != 2 {
				t.Errorf("%d letters", len(letters))
			}
		})
	}
}

// TestJoinGlobalEqualsModel sends random updates and orders, with crashes in between. One
// process applies updates before it processes the next order, so a map is the model.
func TestJoinGlobalEqualsModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := topologytest.New(t, priced(t), topologytest.Partitions("orders", 1+r.Int32N(3)), topologytest.Partitions("prices", 1+r.Int32N(3)),
			topologytest.CommitInterval(time.Duration(r.IntN(3))*time.Second), topologytest.Workers(1+r.IntN(2)))
		prices := topologytest.Input(d, "prices", serde.String, serde.Int64)
		orders := topologytest.Input(d, "orders", serde.String, serde.String)
		model := map[string]int64{}
		var inner, left []string
		for i := range 60 {
			item, at := fmt.Sprint("item", r.IntN(5)), time.UnixMilli(r.Int64N(100))
			switch r.IntN(8) {
			case 0, 1, 2:
				model[item] = int64(i)
				prices.Send(item, int64(i), at)
			case 3:
				delete(model, item)
				prices.SendRecord(processor.Record[string, int64]{Key: item, NoValue: true})
			case 4:
				d.Commit() // an aborted join would see the later table
				d.CrashAll([]topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}[r.IntN(4)])
			default:
				key := fmt.Sprint("order", i)
				orders.Send(key, item, at)
				price, ok := model[item]
				if left = append(left, fmt.Sprint(key, "=", item, ":", price, ok)); ok {
					inner = append(inner, fmt.Sprint(key, "=", item, ":", price))
				}
			}
		}
		d.Commit()
		for topic, want := range map[string][]string{"priced": inner, "all": left} {
			got := texts(d, topic)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %s has\n%v\nwant\n%v", seed, topic, got, want)
			}
		}
	})
}
