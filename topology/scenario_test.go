package topology_test

import (
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/windowstore"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the files of scenarios; read the difference before you keep it")

// formats are the topics and stores of all scenarios.
var formats = []topologytest.Format{
	topologytest.Text("clicks", serde.String, serde.String),
	topologytest.Text("orders", serde.String, serde.String),
	topologytest.Text("users", serde.String, serde.String),
	topologytest.Text("cities", serde.String, serde.String),
	topologytest.Text("numbers", serde.String, serde.Int64),
	topologytest.Text("out", serde.String, serde.String),
	topologytest.Text("other", serde.String, serde.String),
	topologytest.Text("counts", serde.String, serde.Int64),
	topologytest.Text("windows", serde.TimeWindowed(serde.String, 10*time.Second), serde.Int64),
	topologytest.Text("forever", serde.TimeWindowed(serde.String, math.MaxInt64), serde.Int64),
	topologytest.Text("sessions", serde.SessionWindowed(serde.String), serde.Int64),
	topologytest.Versions[string, string]("past"),
	topologytest.Rows("totals", func(d *topologytest.Driver, p int32) iter.Seq2[state.Entry[string, int64], error] {
		return topologytest.Store[state.KeyValueStore[string, int64]](d, "totals", p).All()
	}),
	topologytest.Rows("users", func(d *topologytest.Driver, p int32) iter.Seq2[state.Entry[string, int64], error] {
		return topologytest.Store[state.KeyValueStore[string, int64]](d, "users", p).All()
	}),
	topologytest.Rows("count", func(d *topologytest.Driver, p int32) iter.Seq2[state.Entry[string, int64], error] {
		return topologytest.Store[state.KeyValueStore[string, int64]](d, "count", p).All()
	}),
	topologytest.Rows("per-window", func(d *topologytest.Driver, p int32) iter.Seq2[windowstore.Entry[string, int64], error] {
		return topologytest.Store[windowstore.Store[string, int64]](d, "per-window", p).All()
	}),
}

// scenarioTopologies are the topologies of the scenarios, by file and name.
var scenarioTopologies = map[string]map[string]func(b *topology.Builder){
	"streams": {
		"filter": func(b *topology.Builder) {
			clicks(b).Filter(func(page string) bool { return page != "/" }).To("out")
		},
		"flatmap": func(b *topology.Builder) { topology.FlatMapValues(clicks(b), strings.Fields, serde.String).To("out") },
		"branch": func(b *topology.Builder) {
			short := func(page string) bool { return len(page) < 4 }
			ways := clicks(b).Branch("by-length", topology.Case("short", short), topology.Default[string]("long"))
			ways[0].To("out")
			ways[1].To("other")
		},
		"merge": func(b *topology.Builder) { clicks(b).Merge(orders(b)).To("out") },
		"repartition": func(b *topology.Builder) {
			page := func(r processor.Record[string, string]) *string {
				if r.Value == "/" {
					return nil
				}
				return &r.Value
			}
			topology.Repartition(topology.SelectKey(clicks(b), page, serde.Nullable(serde.String)), "by-page").To("out")
		},
	},
	"aggregations": {
		"count": func(b *topology.Builder) { byKey(b).Count("count").Stream().To("counts") },
		"by-value": func(b *topology.Builder) {
			topology.GroupBy(clicks(b), "by-page", strings.ToLower, serde.String).Count("count").Stream().To("counts")
		},
		"reduce": func(b *topology.Builder) {
			byKey(b).Reduce("longest", func(a, b string) string { return max(a, b) }).Stream().To("out")
		},
		"cogroup": func(b *topology.Builder) {
			both := topology.Cogroup(topology.Fold(byKey(b), addTo(1)), topology.Fold(topology.GroupByKey(orders(b), "orders-by-key"), addTo(100)))
			both.Aggregate("both", zero, serde.Int64).Stream().To("counts")
		},
	},
	"merged": {
		"count":        func(b *topology.Builder) { byKey(b).Count("count").Stream().To("counts") },
		"every-update": func(b *topology.Builder) { byKey(b).Count("count", topology.EveryUpdate()).Stream().To("counts") },
		"table":        func(b *topology.Builder) { users(b).Stream().To("out") },
	},
	"windows": {
		"tumbling": windowed(topology.Tumbling(10 * time.Second).Grace(5 * time.Second)),
		"hopping":  windowed(topology.Hopping(10*time.Second, 4*time.Second)),
		"sliding":  windowed(topology.Sliding(10 * time.Second)),
		"unlimited": func(b *topology.Builder) {
			byKey(b).Window(topology.Unlimited(time.UnixMilli(5000))).Count("forever").Stream().To("forever")
		},
		"sessions": func(b *topology.Builder) {
			byKey(b).Sessions(10 * time.Second).Grace(5 * time.Second).Count("visits").Stream().To("sessions")
		},
		"cogroup": func(b *topology.Builder) {
			both := topology.Cogroup(topology.Fold(byKey(b), addTo(1)), topology.Fold(topology.GroupByKey(orders(b), "orders-by-key"), addTo(100)))
			both.Window(topology.Tumbling(10*time.Second)).Aggregate("per-window", zero, serde.Int64).Stream().To("windows")
		},
	},
	"closed": {
		"final": func(b *topology.Builder) {
			byKey(b).Window(topology.Tumbling(10 * time.Second).Grace(5 * time.Second)).Count("per-window").Final().Stream().To("windows")
		},
		"final-sessions": func(b *topology.Builder) {
			byKey(b).Sessions(10 * time.Second).Count("visits").Final().Stream().To("sessions")
		},
		"idle": func(b *topology.Builder) {
			windows := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
			byKey(b).Window(windows).Count("per-window", topology.IdleAfter(3*time.Second)).Final().Stream().To("windows")
		},
		"busy": func(b *topology.Builder) {
			counts := byKey(b).Window(topology.Tumbling(10 * time.Second)).Count("per-window")
			counts.Filter(func(n int64) bool { return n > 1 }).Suppress("busy", topology.UntilClosed()).Stream().To("windows")
		},
		"calm": func(b *topology.Builder) {
			byKey(b).Count("count").Suppress("calm", topology.UntilTimeLimit(10*time.Second)).Stream().To("counts")
		},
	},
	"tables": {
		"filter": func(b *topology.Builder) {
			users(b).Filter(func(city string) bool { return city != "Rome" }).Stream().To("out")
		},
		"map": func(b *topology.Builder) {
			topology.MapTable(users(b), strings.ToUpper, serde.String).Stream().To("out")
		},
		"group": func(b *topology.Builder) {
			itself := func(city string) string { return city }
			topology.GroupTable(users(b), "by-city", itself, serde.String).Count("count").Stream().To("counts")
		},
		"sums": func(b *topology.Builder) {
			parity := func(n int64) string { return [...]string{"even", "odd"}[n%2] }
			numbers := topology.GroupTable(topology.SourceTable(b, "numbers", serde.String, serde.Int64), "by-parity", parity, serde.String)
			add := func(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value }
			subtract := func(sum int64, r processor.Record[string, int64]) int64 { return sum - r.Value }
			topology.AggregateTable(numbers, "sums", zero, add, subtract, serde.Int64).Stream().To("counts")
		},
		"ttl": func(b *topology.Builder) {
			users := topology.SourceTable(b, "users", serde.String, serde.String, topology.TTL(10*time.Second))
			topology.GroupTable(users, "by-city", func(city string) string { return city }, serde.String).Count("count").Stream().To("counts")
			users.Stream().To("out")
		},
		"to-table": func(b *topology.Builder) { clicks(b).ToTable("last").Stream().To("out") },
	},
	"joins": {
		"stream-table": func(b *topology.Builder) { topology.Join(orders(b), users(b), plus, serde.String).To("out") },
		"left-stream-table": func(b *topology.Builder) {
			topology.LeftJoin(orders(b), users(b), plusMaybe, serde.String).To("out")
		},
		"tables": func(b *topology.Builder) {
			topology.JoinTables(users(b), cities(b), plus, serde.String).Stream().To("out")
		},
		"left-tables": func(b *topology.Builder) {
			topology.LeftJoinTables(users(b), cities(b), plusMaybe, serde.String).Stream().To("out")
		},
		"outer-tables": func(b *topology.Builder) {
			topology.OuterJoinTables(users(b), cities(b), either, serde.String).Stream().To("out")
		},
		"foreign": func(b *topology.Builder) {
			city := func(user string) (string, bool) { return user, user != "" }
			topology.JoinForeign(users(b), cities(b), "lives-in", city, plus, serde.String).Stream().To("out")
		},
		"left-foreign": func(b *topology.Builder) {
			city := func(user string) (string, bool) { return user, user != "" }
			topology.LeftJoinForeign(users(b), cities(b), "lives-in", city, plusMaybe, serde.String).Stream().To("out")
		},
		"global": func(b *topology.Builder) {
			all := topology.GlobalTable(b, "cities", serde.String, serde.String)
			topology.LeftJoinGlobal(orders(b), all, func(order string) string { return order }, plusMaybe, serde.String).To("out")
		},
		"versioned": func(b *topology.Builder) {
			past := topology.SourceTable(b, "users", serde.String, serde.String, topology.Versioned(time.Hour))
			topology.LeftJoin(orders(b), past, plusMaybe, serde.String, topology.Grace(5*time.Second), topology.Named("as-of")).To("out")
		},
	},
	"windowjoins": {
		"inner": func(b *topology.Builder) {
			topology.JoinWindow(orders(b), clicks(b), "near", near, plus, serde.String).To("out")
		},
		"left": func(b *topology.Builder) {
			topology.LeftJoinWindow(orders(b), clicks(b), "near", near, plusMaybe, serde.String).To("out")
		},
		"self": func(b *topology.Builder) {
			topology.JoinWindow(clicks(b), clicks(b), "near", topology.Within(10*time.Second), plus, serde.String).To("out")
		},
		"outer": func(b *topology.Builder) {
			topology.OuterJoinWindow(orders(b), clicks(b), "near", near, either, serde.String).To("out")
		},
	},
	"globals": {
		"totals": func(b *topology.Builder) {
			all := topology.GlobalStore(b, "numbers", serde.String, serde.Int64, totals, func() *adder { return &adder{} })
			topology.LeftJoinGlobal(orders(b), all, func(city string) string { return city }, plusTotal, serde.String).To("out")
		},
	},
	"topics": {
		"users": func(b *topology.Builder) {
			ages := topology.SourceTable(b, "users", serde.String, serde.JSON[int64](), topology.SourceAsChangelog())
			topology.LeftJoin(orders(b), ages, plusTotal, serde.String).To("out")
			ages.Stream().To("other")
		},
	},
	"versions": {
		"table": func(b *topology.Builder) {
			past := clicks(b).ToTable("past", topology.Versioned(10*time.Second))
			past.Stream().To("out")
			topology.LeftJoin(orders(b), past, plusMaybe, serde.String).To("other")
		},
	},
	"processors": {
		"trend": func(b *topology.Builder) {
			topology.Process(clicks(b), "ticker", func() *ticker { return &ticker{} }, serde.String, serde.Int64, ticks).To("counts")
		},
		"visits": func(b *topology.Builder) {
			numbered := topology.ProcessValues(clicks(b), "visits", func() *visits { return &visits{} }, serde.String, ticks)
			topology.LeftJoin(numbered, users(b), plusMaybe, serde.String).To("out")
		},
		"leagues": func(b *topology.Builder) {
			scores := topology.SourceTable(b, "numbers", serde.String, serde.Int64)
			topology.ProcessTable(scores, "leagues", func() *leagues { return &leagues{} }, serde.String, highest).Stored("rows").Stream().To("out")
		},
	},
}

var near = topology.Within(10 * time.Second).Grace(5 * time.Second)

func plus(a, b string) string                          { return a + "+" + b }
func plusMaybe(a, b string, _ bool) string             { return plus(a, b) }
func either(a string, _ bool, b string, _ bool) string { return plus(a, b) }

func clicks(b *topology.Builder) topology.Stream[string, string] {
	return topology.Source(b, "clicks", serde.String, serde.String)
}

func orders(b *topology.Builder) topology.Stream[string, string] {
	return topology.Source(b, "orders", serde.String, serde.String)
}

func users(b *topology.Builder) topology.Table[string, string] {
	return topology.SourceTable(b, "users", serde.String, serde.String)
}

func cities(b *topology.Builder) topology.Table[string, string] {
	return topology.SourceTable(b, "cities", serde.String, serde.String)
}

func byKey(b *topology.Builder) topology.Grouped[string, string] {
	return topology.GroupByKey(clicks(b), "by-key")
}

func zero() int64 { return 0 }

// addTo returns a function that adds a number for each record.
func addTo(by int64) func(int64, processor.Record[string, string]) int64 {
	return func(a int64, _ processor.Record[string, string]) int64 { return a + by }
}

// windowed counts clicks by key and window.
func windowed(w topology.Windows) func(b *topology.Builder) {
	return func(b *topology.Builder) { byKey(b).Window(w).Count("per-window").Stream().To("windows") }
}

var ticks = state.KeyValue("count", serde.String, serde.Int64)

// ticker counts records, and forwards its count every ten seconds of the clock.
type ticker struct {
	counts state.KeyValueStore[string, int64]
}

func (k *ticker) Init(ctx processor.Context[string, int64]) error {
	k.counts = state.Open(ctx, ticks)
	ctx.Every(10*time.Second, processor.WallClock, func(ctx processor.Context[string, int64], now time.Time) error {
		n, _, err := k.counts.Get("all")
		ctx.Forward(processor.NewRecord("all", n, processor.TimestampOf(now)))
		return err
	})
	return nil
}

func (k *ticker) Process(_ processor.Context[string, int64], _ processor.Record[string, string]) error {
	n, _, err := k.counts.Get("all")
	if err != nil {
		return err
	}
	return k.counts.Put("all", n+1)
}

var totals = state.KeyValue("totals", serde.String, serde.Int64)

// adder keeps the sum of the numbers of each key. A record without a value resets it.
type adder struct {
	totals state.KeyValueStore[string, int64]
}

func (a *adder) Init(ctx processor.Context[struct{}, struct{}]) error {
	a.totals = state.Open(ctx, totals)
	return nil
}

func (a *adder) Process(ctx processor.Context[struct{}, struct{}], r processor.Record[string, int64]) error {
	switch {
	case r.NoKey:
		ctx.Drop("a number of no city")
		return nil
	case r.NoValue:
		_, _, err := a.totals.Delete(r.Key)
		return err
	}
	sum, _, err := a.totals.Get(r.Key)
	return errors.Join(err, a.totals.Put(r.Key, sum+r.Value))
}

func plusTotal(a string, n int64, ok bool) string {
	if !ok {
		return a
	}
	return fmt.Sprint(a, "+", n)
}

// visits numbers the clicks of each key, and says after ten seconds of the clock which
// page was the last one.
type visits struct {
	counts state.KeyValueStore[string, int64]
	last   *processor.FixedKeyRecord[string, string]
}

func (v *visits) Init(ctx processor.FixedKeyContext[string, string]) error {
	v.counts = state.Open(ctx.Stores(), ticks)
	ctx.Every(10*time.Second, processor.WallClock, func(ctx processor.FixedKeyContext[string, string], _ time.Time) error {
		if v.last != nil {
			ctx.Forward(processor.WithFixedKeyValue(*v.last, "last:"+v.last.Value()))
			v.last = nil
		}
		return nil
	})
	return nil
}

func (v *visits) Process(ctx processor.FixedKeyContext[string, string], r processor.FixedKeyRecord[string, string]) error {
	if r.NoKey() {
		ctx.Drop("a click of nobody")
		return nil
	}
	if r.NoValue() {
		_, _, err := v.counts.Delete(r.Key())
		return err
	}
	n, _, err := v.counts.Get(r.Key())
	if err != nil {
		return err
	}
	v.last = &r
	ctx.Forward(processor.WithFixedKeyValue(r, fmt.Sprint(r.Value(), "#", n+1)))
	return v.counts.Put(r.Key(), n+1)
}

// scenarioOptions are options of the drivers, by file. The scenarios of merged say when
// to commit.
var scenarioOptions = map[string]topologytest.Option{
	"merged": topologytest.CommitInterval(time.Hour),
	"topics": topologytest.ErrorPolicy(processor.ErrorPolicy{Decode: processor.Skip}),
}

// TestScenarios runs the scenarios of testdata/scenarios, a file for each family of
// operators. They show what an operator does with late, absent and deleted data. After a
// change that is meant to change them:
//
//	go test ./topology -run Scenarios -rewrite
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) != len(scenarioTopologies) {
		t.Fatalf("%d files for %d families: %v", len(files), len(scenarioTopologies), err)
	}
	for family := range maps.Keys(scenarioTopologies) {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			s := topologytest.Script{Topologies: scenarioTopologies[family], Formats: formats, Rewrite: *rewrite,
				Options: []topologytest.Option{topologytest.Start(time.UnixMilli(0))}}
			if option, ok := scenarioOptions[family]; ok {
				s.Options = append(s.Options, option)
			}
			s.Run(t, filepath.Join("testdata", "scenarios", family+".txt"))
		})
	}
}
