package topologytest_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// foreignOf returns the foreign key in the left values of the tests: "key|rest", or no
// key.
func foreignOf(v string) (string, bool) {
	key, _, ok := strings.Cut(v, "|")
	return key, ok
}

// foreignWorld is a foreign-key join of two topics, and its expected result.
type foreignWorld struct {
	left       bool // a left join
	lefts      map[string]string
	rights     map[string]string
	d          *topologytest.Driver
	partitions map[string]int32
	selfJoin   bool
	topics     []string
}

func text(l, r string, ok bool) string {
	if !ok {
		return l + "+null"
	}
	return l + "+" + r
}

func (w *foreignWorld) build(t *testing.T, table ...topology.SourceTableOption) *topology.Topology {
	b := topology.New()
	left := topology.SourceTable(b, "left", serde.String, serde.String, table...)
	right := left
	if !w.selfJoin {
		right = topology.SourceTable(b, "right", serde.String, serde.String, table...)
	}
	var joined topology.Table[string, string]
	if w.left {
		joined = topology.LeftJoinForeign(left, right, "joined", foreignOf, text, serde.String)
	} else {
		joined = topology.JoinForeign(left, right, "joined", foreignOf, func(l, r string) string { return text(l, r, true) }, serde.String)
	}
	rows := joined.Stored("rows")
	rows.Stream().To("out")
	// If old rows do not match earlier new rows, this sum is wrong.
	size := func(r processor.Record[string, string]) int64 { return int64(len(r.Value)) }
	sum := topology.AggregateTable(topology.GroupTable(rows, "all", func(string) string { return "all" }, serde.String), "sum", func() int64 { return 0 },
		func(n int64, r processor.Record[string, string]) int64 { return n + size(r) },
		func(n int64, r processor.Record[string, string]) int64 { return n - size(r) }, serde.Int64)
	topology.MapTable(sum, func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("sum-out")
	return build(t, b)
}

// want returns the rows of the result, and the sum of their lengths.
func (w *foreignWorld) want() (rows map[string]string, sum int) {
	rights := w.rights
	if w.selfJoin {
		rights = w.lefts
	}
	rows = map[string]string{}
	for key, l := range w.lefts {
		r, found := "", false
		if foreign, ok := foreignOf(l); ok {
			r, found = rights[foreign]
		}
		if found || w.left {
			rows[key] = text(l, r, found)
			sum += len(rows[key])
		}
	}
	return rows, sum
}

func latestOf(d *topologytest.Driver, topic string) map[string]string {
	rows := map[string]string{}
	for _, r := range d.Topic(topic) {
		if delete(rows, string(r.Key)); r.Value != nil {
			rows[string(r.Key)] = string(r.Value)
		}
	}
	return rows
}

// change changes a random row of one of the tables.
func (w *foreignWorld) change(r *rand.Rand, i int) {
	table, topic, keys := w.lefts, "left", "abcde"
	value := fmt.Sprintf("%c|%d", "pqrs"[r.IntN(4)], r.IntN(3))
	if w.selfJoin {
		value = fmt.Sprintf("%c|%d", keys[r.IntN(5)], r.IntN(3))
	}
	switch {
	case r.IntN(3) == 0 && !w.selfJoin:
		table, topic, keys, value = w.rights, "right", "pqrs", fmt.Sprint(r.IntN(100))
	case r.IntN(6) == 0:
		value = fmt.Sprint(r.IntN(3)) // without a foreign key
	}
	key := keys[r.IntN(len(keys)):][:1]
	in := topologytest.Input(w.d, topic, serde.String, serde.String)
	at := time.UnixMilli(int64(max(0, i-r.IntN(10))))
	if r.IntN(4) == 0 {
		delete(table, key)
		in.SendRecord(processor.Record[string, string]{Key: key, NoValue: true, Timestamp: processor.TimestampOf(at)})
		return
	}
	table[key] = value
	in.Send(key, value, at)
}

// stop ends tasks in one of several ways, or none.
func (w *foreignWorld) stop(r *rand.Rand) {
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk}
	disk := disks[r.IntN(3)]
	switch topic := w.topics[r.IntN(len(w.topics))]; r.IntN(6) {
	case 0:
		w.d.Restart()
	case 1:
		w.d.CrashAll(disk)
	case 2, 3:
		w.d.Crash(topic, int32(r.IntN(int(w.partitions[topic]))), disk)
	}
}

func newForeignWorld(t *testing.T, r *rand.Rand) *foreignWorld {
	w := &foreignWorld{left: r.IntN(2) == 0, selfJoin: r.IntN(4) == 0, lefts: map[string]string{}, rights: map[string]string{}}
	w.partitions = map[string]int32{"left": 1 + r.Int32N(3), "right": 1 + r.Int32N(3)}
	opts := []topologytest.Option{topologytest.Workers(1 + r.IntN(3)), topologytest.Partitions("left", w.partitions["left"])}
	if w.topics = []string{"left"}; !w.selfJoin {
		w.topics = append(w.topics, "right")
		opts = append(opts, topologytest.Partitions("right", w.partitions["right"]))
	}
	if r.IntN(5) > 0 {
		opts = append(opts, topologytest.CommitInterval(time.Hour))
	}
	var table []topology.SourceTableOption
	switch r.IntN(4) {
	case 0:
		opts = append(opts, topologytest.EveryUpdate())
	case 1:
		table = append(table, topology.EveryUpdate())
	}
	w.d = topologytest.New(t, w.build(t, table...), opts...)
	return w
}

// TestForeignJoinsAreTheModel changes random rows of both tables, over random commits,
// crashes and restarts. Whenever all messages have arrived, the result must be that of a
// naive model.
func TestForeignJoinsAreTheModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 80, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 29))
		w := newForeignWorld(t, r)
		for i := range 60 {
			if w.change(r, i); r.IntN(6) > 0 {
				continue
			}
			if r.IntN(3) == 0 {
				w.stop(r) // what was not committed comes again
			}
			w.d.Commit()
			want, sum := w.want()
			if got := latestOf(w.d, "out"); !maps.Equal(got, want) {
				t.Fatalf("left join %t, self-join %t, partitions %v, after %d changes: the rows are\n %v, want\n %v; the tables\n %v\n %v",
					w.left, w.selfJoin, w.partitions, i+1, got, want, w.lefts, w.rights)
			}
			if got := latestOf(w.d, "sum-out")["all"]; got != fmt.Sprint(sum) && (got != "" || sum != 0) {
				t.Fatalf("after %d changes: the sum is %s, want %d", i+1, got, sum)
			}
		}
	})
}

// send sends a row to a topic of texts; "-" deletes it.
func sendRow(d *topologytest.Driver, topic, key, value string, at int64) {
	in := topologytest.Input(d, topic, serde.String, serde.String)
	if value == "-" {
		in.SendRecord(processor.Record[string, string]{Key: key, NoValue: true, Timestamp: processor.Timestamp(at)})
		return
	}
	in.Send(key, value, time.UnixMilli(at))
}

// TestForeignJoinForgetsResults: the response about a deleted right row arrives after the
// left row has changed, so it is stale. The result must be deleted all the same. Each
// case changes both rows in one commit interval.
func TestForeignJoinForgetsResults(t *testing.T) {
	t.Parallel()
	for name, lefts := range map[string][]string{
		"another value":              {"p|2"},
		"the same value again":       {"p|2", "p|1"},
		"no foreign key":             {"none"},
		"no foreign key, twice":      {"none", "none again"},
		"no foreign key, then gone":  {"none", "-"},
		"gone and back":              {"-", "p|3"},
		"another foreign key":        {"q|2"},
		"another and the first back": {"q|2", "p|3"},
	} {
		for _, workers := range []int{1, 2} {
			w := &foreignWorld{lefts: map[string]string{}, rights: map[string]string{}}
			w.d = topologytest.New(t, w.build(t), topologytest.CommitInterval(time.Hour), topologytest.Workers(workers))
			sendRow(w.d, "left", "a", "p|1", 1)
			sendRow(w.d, "right", "p", "R", 2)
			w.d.Commit()
			if got := latestOf(w.d, "out"); !maps.Equal(got, map[string]string{"a": "p|1+R"}) {
				t.Fatalf("the rows are %v", got)
			}
			sendRow(w.d, "right", "p", "-", 3)
			for i, value := range lefts {
				sendRow(w.d, "left", "a", value, int64(4+i))
			}
			w.d.Commit()
			if got := latestOf(w.d, "out"); len(got) > 0 {
				t.Errorf("%s: the result is still %v", name, got)
			}
		}
	}
}

// TestForeignJoinOfARowThatIsGone: a right row is created and deleted between two
// commits. A left row that subscribes in between must not keep it.
func TestForeignJoinOfARowThatIsGone(t *testing.T) {
	t.Parallel()
	w := &foreignWorld{lefts: map[string]string{}, rights: map[string]string{}}
	w.d = topologytest.New(t, w.build(t), topologytest.CommitInterval(time.Hour))
	sendRow(w.d, "left", "a", "p|1", 1)
	sendRow(w.d, "right", "p", "R", 2)
	sendRow(w.d, "right", "p", "-", 3)
	w.d.Commit()
	if got := latestOf(w.d, "out"); len(got) > 0 {
		t.Errorf("the rows are %v", got)
	}
}

// A foreign key that the serde of the right table cannot encode is an error of the left
// row. One that it cannot decode is an error of the message to the right row. In both
// cases the row has no result, and other rows have theirs.
func TestForeignKeyWithoutEncoding(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys  picky
		phase processor.Phase
		node  string
		topic string
	}{
		"encode":           {picky{noWrite: true}, processor.Process, "join-subscription-registration-processor", "left"},
		"encode, by panic": {picky{noWrite: true, panics: true}, processor.Process, "join-subscription-registration-processor", "left"},
		"decode":           {picky{noRead: true}, processor.Decode, "join-subscription-registration-source", "join-subscription-registration-topic"},
		"decode, by panic": {picky{noRead: true, panics: true}, processor.Decode, "join-subscription-registration-source", "join-subscription-registration-topic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(action processor.Action) (*topologytest.Driver, error) {
				b := topology.New()
				left := topology.SourceTable(b, "left", serde.String, serde.String)
				right := topology.SourceTable(b, "right", serde.Serde[string](test.keys), serde.String)
				owner := func(v string) (string, bool) { return v, true }
				topology.JoinForeign(left, right, "join", owner, func(l, r string) string { return l + "+" + r }, serde.String).Stream().To("out")
				d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Decode: action, Process: action}))
				return d, d.Try(func() {
					topologytest.Input(d, "right", serde.String, serde.String).Send("x", "X", start)
					in := topologytest.Input(d, "left", serde.String, serde.String)
					in.Send("a", poison, start)
					in.Send("b", "x", start)
				})
			}
			var e *processor.Error
			if _, err := run(processor.Fail); !errors.As(err, &e) {
				t.Fatalf("got %v, want a *processor.Error", err)
			}
			if e.Phase != test.phase || e.Node != test.node || !strings.HasSuffix(e.Topic, test.topic) || !errors.Is(e, errPoison) && !strings.Contains(e.Error(), poison) {
				t.Errorf("got %v, want phase %v of node %s, topic %s", e, test.phase, test.node, test.topic)
			}
			d, err := run(processor.Skip)
			if err != nil {
				t.Fatal(err)
			}
			want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "b=x+X")
			if n := d.DropReasons()["error in "+test.phase.String()]; n != 1 {
				t.Errorf("%d records are counted as dropped, want 1: %v", n, d.DropReasons())
			}
		})
	}
}

// unwritable is a serde that cannot encode a text that ends with poison.
type unwritable struct{}

func (unwritable) Append(dst []byte, s string) ([]byte, error) {
	if strings.HasSuffix(s, poison) {
		return nil, errPoison
	}
	return append(dst, s...), nil
}

func (unwritable) Decode(data []byte) (string, error) { return string(data), nil }

// A row whose value cannot be encoded is an error of the row. If the error policy skips
// it, the join takes the row for absent until its next update. Other errors and records
// are not counted.
func TestForeignJoinOfValuesWithoutEncoding(t *testing.T) {
	t.Parallel()
	same := func(v string) string { return v }
	for _, test := range []struct {
		name  string
		steps []string // topic, key and value
		inner string   // the row of the result afterwards
		left  string   // that of a left join
		drops int64
	}{
		{"left", []string{"left a x|poison"}, "", "", 1},
		{"left, then the right row changes", []string{"left a x|poison", "right x Y"}, "", "", 1},
		{"left, then the right row is gone", []string{"left a x|poison", "right x -"}, "", "", 1},
		{"left, with another foreign key", []string{"left a y|poison", "right x Y", "right y Z"}, "", "", 1},
		{"left, and then a good one", []string{"left a x|poison", "right x Y", "left a x|2"}, "x|2+Y", "x|2+Y", 1},
		{"left, and then a good one elsewhere", []string{"left a x|poison", "left a y|2", "right y Y"}, "y|2+Y", "y|2+Y", 1},
		{"left, and then gone", []string{"left a x|poison", "left a -", "right x Y"}, "", "", 1},
		{"right", []string{"right x poison"}, "", "x|1+null", 1},
		{"right, and then a good one", []string{"right x poison", "right x Y"}, "x|1+Y", "x|1+Y", 1},
		{"right, and then the left row changes", []string{"right x poison", "left a x|2"}, "", "x|2+null", 1},
		{"right, and then gone", []string{"right x poison", "right x -"}, "", "x|1+null", 1},
		{"both", []string{"right x poison", "left a x|poison", "right x Y"}, "", "", 2},
	} {
		for _, every := range []bool{false, true} {
			for _, left := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/left join %t/every update %t", test.name, left, every), func(t *testing.T) {
					t.Parallel()
					b := topology.New()
					table := func(topic string) topology.Table[string, string] {
						return topology.MapTable(topology.SourceTable(b, topic, serde.String, serde.String), same, serde.Serde[string](unwritable{}))
					}
					var joined topology.Table[string, string]
					if left {
						joined = topology.LeftJoinForeign(table("left"), table("right"), "joined", foreignOf, text, serde.String)
					} else {
						joined = topology.JoinForeign(table("left"), table("right"), "joined", foreignOf, func(l, r string) string { return text(l, r, true) }, serde.String)
					}
					joined.Stream().To("out")
					opts := []topologytest.Option{topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "letters"})}
					if every {
						opts = append(opts, topologytest.EveryUpdate())
					}
					d := topologytest.New(t, build(t, b), opts...)
					sendRow(d, "right", "x", "X", 1)
					sendRow(d, "left", "a", "x|1", 2)
					for i, step := range test.steps {
						f := strings.Fields(step)
						sendRow(d, f[0], f[1], f[2], int64(3+i))
					}
					want := test.inner
					if left {
						want = test.left
					}
					if got := latestOf(d, "out")["a"]; got != want {
						t.Errorf("the result is %q, want %q", got, want)
					}
					if n := d.DropReasons()["error in process"]; n != test.drops {
						t.Errorf("%d records are counted as dropped, want %d: %v", n, test.drops, d.DropReasons())
					}
					if n := len(d.Topic("letters")); int64(n) != test.drops {
						t.Errorf("%d dead letters, want %d", n, test.drops)
					}
				})
			}
		}
	}
}

// A row whose foreign key cannot be computed is dropped once, with the error as the
// reason. That it has no foreign key then is no second reason.
func TestFailingForeignKeyIsOneDrop(t *testing.T) {
	t.Parallel()
	b := topology.New()
	left, right := topology.SourceTable(b, "in", serde.String, serde.String), topology.SourceTable(b, "right", serde.String, serde.String)
	topology.TryJoinForeign(left, right, "joined", func(r processor.Record[string, string]) (key string, ok bool, err error) {
		if r.Value == "bad" {
			return "", false, errors.New("a bad row")
		}
		return r.Value, r.Value != "none", nil
	}, func(a, b string) (string, error) { return a + b, nil }, serde.String).Stream().To("out")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	rows := topologytest.Input(d, "in", serde.String, serde.String)
	rows.Send("a", "bad", start)
	if got, want := d.DropReasons(), map[string]int64{"error in process": 1}; !maps.Equal(got, want) {
		t.Errorf("dropped %v, want %v", got, want)
	}
	rows.Send("b", "none", start)
	if got, want := d.DropReasons(), map[string]int64{"error in process": 1, "null foreign key": 1}; !maps.Equal(got, want) {
		t.Errorf("dropped %v, want %v", got, want)
	}
}
