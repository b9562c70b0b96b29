package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/foreign"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// ownerOf returns the foreign key in "owner/rest".
func ownerOf(v string) (string, bool) {
	owner, _, ok := strings.Cut(v, "/")
	return owner, ok
}

// TestJoinForeign feeds both tables with updates, changes of the foreign key, rows
// without one, and deletions.
func TestJoinForeign(t *testing.T) {
	t.Parallel()
	b := New()
	left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String)
	JoinForeign(left, right, "inner", ownerOf, both, serde.String).Stream().To("in")
	LeftJoinForeign(left, right, "left", ownerOf, maybe, serde.String).Stream().To("left-out")
	f := run(t, b, graphtest.WithEveryUpdate())
	for _, step := range []struct {
		topic, record string
		want          []string
	}{
		{"l", "a:x/1@5", []string{"left-out a:x/1+false@5"}},
		{"r", "x:X@3", []string{"in a:x/1+X@3", "left-out a:x/1+Xtrue@3"}},
		{"l", "b:x/2@2", []string{"in b:x/2+X@3", "left-out b:x/2+Xtrue@3"}},
		{"r", "x:Y@9", []string{"in a:x/1+Y@9", "in b:x/2+Y@9", "left-out a:x/1+Ytrue@9", "left-out b:x/2+Ytrue@9"}},
		{"l", "a:y/1@10", []string{"in a:-@10", "left-out a:y/1+false@10"}},
		{"l", "b:alone@11", []string{"in b:-@11", "left-out b:alone+false@11"}},
		{"l", "b:x/3@12", []string{"in b:x/3+Y@12", "left-out b:x/3+Ytrue@12"}},
		{"l", "b:-@13", []string{"in b:-@13", "left-out b:-@13"}},
		{"r", "x:-@14", nil},
		{"l", "b:-@15", nil},
		// A row with an empty value is one.
		{"r", "y:@16", []string{"in a:y/1+@16", "left-out a:y/1+true@16"}},
		{"r", "y:-@17", []string{"in a:-@17", "left-out a:y/1+false@17"}},
	} {
		f.Feed(step.topic, step.record)
		got, want := f.Out(), slices.Clone(step.want)
		slices.Sort(got) // the two joins have no order
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("after %s on %s: sent %q, want %q", step.record, step.topic, got, want)
		}
	}
	f.ExpectDrops("inner-subscription-registration-processor: null foreign key")
}

// TestForeignJoinLooksUpWhatWasSent: a row subscribes to a right row that comes and goes
// between two commits.
func TestForeignJoinLooksUpWhatWasSent(t *testing.T) {
	t.Parallel()
	b := New()
	left := SourceTable(b, "l", serde.String, serde.String, EveryUpdate())
	JoinForeign(left, SourceTable(b, "r", serde.String, serde.String), "joined", ownerOf, both, serde.String).Stored("rows", EveryUpdate()).Stream().To("out")
	f := run(t, b)
	f.Feed("r", "x:X@1")
	f.Feed("l", "a:x/1@2")
	f.Feed("r", "x:-@3")
	f.Commit()
	f.Feed("l", "a:x/2@4")
	f.Commit()
	f.Expect()
	f.Feed("r", "x:Y@5")
	f.Commit()
	f.Expect("out a:x/2+Y@5")
}

// TestForeignResponseMeetsTheRowThatWasSent: a left row changes after it has subscribed.
// The response is about the row that was sent last, so it is not stale.
func TestForeignResponseMeetsTheRowThatWasSent(t *testing.T) {
	t.Parallel()
	b := New()
	right := SourceTable(b, "r", serde.String, serde.String, EveryUpdate())
	JoinForeign(SourceTable(b, "l", serde.String, serde.String), right, "joined", ownerOf, both, serde.String).Stream().To("out")
	f := run(t, b)
	f.Feed("l", "a:x/1@1")
	f.Commit()
	f.Feed("l", "a:y/2@2")
	f.Feed("r", "x:X@3")
	f.Expect("out a:x/1+X@3")
	f.Commit()
	f.Expect("out a:-@2")
	f.ExpectDrops()
}

// TestForeignJoinSendsHeaders: the result has the headers of the update that made it.
func TestForeignJoinSendsHeaders(t *testing.T) {
	t.Parallel()
	b := New()
	JoinForeign(SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String), "joined", ownerOf, both, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	for _, topic := range []string{"r", "l", "r"} {
		in := graphtest.Parse(map[string]string{"l": "a:x/1@1", "r": "x:X@2"}[topic])
		in.Topic, in.Headers = topic, processor.Headers{{Key: "from", Value: []byte(topic)}}
		if err := f.Process(in); err != nil {
			t.Fatal(err)
		}
		f.Commit() // delivers the messages of the join
	}
	var got []string
	for _, out := range f.Sent {
		from, _ := out.Headers.Get("from")
		got = append(got, string(from))
	}
	if want := []string{"l", "r"}; !slices.Equal(got, want) {
		t.Errorf("the results come from %q, want %q", got, want)
	}
}

// TestFailingForeignKeys: a row whose foreign key cannot be found is given to the error
// policy once, and has no foreign key then. If two rows cannot be joined, the result has
// no row.
func TestFailingForeignKeys(t *testing.T) {
	t.Parallel()
	key := func(r rec) (string, bool, error) {
		switch {
		case strings.HasPrefix(r.Value, "bad"):
			return "", false, errors.New("no such owner")
		case strings.HasPrefix(r.Value, "panics"):
			panic("foreign")
		}
		owner, ok := ownerOf(r.Value)
		return owner, ok, nil
	}
	join := func(l, r string) (string, error) {
		if l == "x/unjoinable" {
			return "", errors.New("cannot be joined")
		}
		return l + "+" + r, nil
	}
	b := New()
	left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String)
	TryJoinForeign(left, right, "inner", key, join, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate(), graphtest.WithPolicy(processor.Skip))
	f.Feed("r", "x:X@1")
	f.Feed("l", "a:x/1@2", "a:bad@3", "a:x/2@4", "a:panics@5", "a:-@6", "a:x/unjoinable@7", "a:x/3@8")
	f.Feed("l", "b:bad@9", "b:y/1@10", "a:x/unjoinable@11")
	f.Expect("out a:x/1+X@2", "out a:-@3", "out a:x/2+X@4", "out a:-@5", "out a:-@6", "out a:-@7", "out a:x/3+X@8", "out b:-@10", "out a:-@11")
	if len(f.Failures) != 5 {
		t.Errorf("failures %q", f.Failures)
	}
	for i, want := range []string{"process: no such owner", "process: panic: foreign", "process: cannot be joined"} {
		if !strings.Contains(f.Failures[i], want) {
			t.Errorf("failure %d is %s, want %s", i, f.Failures[i], want)
		}
	}
	f.Drops = nil
}

// TestAbsentForeignKeys: the key that is absent by the right table's serde is none.
func TestAbsentForeignKeys(t *testing.T) {
	t.Parallel()
	b := New()
	left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.Nullable(serde.String), serde.String)
	owner := func(v string) (*string, bool) {
		if key, ok := ownerOf(v); ok {
			return &key, true
		}
		return nil, true
	}
	LeftJoinForeign(left, right, "left", owner, maybe, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("r", "x:X@1")
	f.Feed("l", "a:alone@2", "a:x/1@3")
	f.Expect("out a:alone+false@2", "out a:x/1+Xtrue@3")
}

// randomly encodes a value in another way each time.
type randomly struct{ n *int }

func (s randomly) Append(dst []byte, v string) ([]byte, error) {
	*s.n++
	return fmt.Appendf(dst, "%s#%d", v, *s.n), nil
}

func (randomly) Decode(data []byte) (string, error) {
	v, _, _ := strings.Cut(string(data), "#")
	return v, nil
}

// TestForeignJoinOfAnUnsteadySerde: all responses are stale. The join says so where it
// would ask forever.
func TestForeignJoinOfAnUnsteadySerde(t *testing.T) {
	t.Parallel()
	b := New()
	left := MapTable(SourceTable(b, "l", serde.String, serde.String), func(v string) string { return v }, serde.Serde[string](randomly{new(int)}))
	JoinForeign(left, SourceTable(b, "r", serde.String, serde.String), "joined", ownerOf, both, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate(), graphtest.WithPolicy(processor.Skip))
	f.Feed("l", "a:x/1@1", "a:y/1@2")
	f.Expect()
	f.ExpectDrops("joined-subscription-response-resolver: stale response")
	if got := strings.Join(f.Failures, "; "); !strings.Contains(got, "randomly encodes equal values differently each time") {
		t.Errorf("failures %s", got)
	}
}

// TestForeignJoinPartitions: the subscription topic has as many partitions as the right
// table's topics, the response topic as many as the left one's. The names of the
// sub-topologies stay.
func TestForeignJoinPartitions(t *testing.T) {
	t.Parallel()
	b := New()
	right := Repartition(Source(b, "r", serde.String, serde.String), "by-user").ToTable("users")
	JoinForeign(SourceTable(b, "l", serde.String, serde.String), right, "a-join", ownerOf, both, serde.String).Stream().To("out")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	counts, err := topo.g.PartitionCounts(func(topic string) (int32, error) { return map[string]int32{"l": 12, "r": 4}[topic], nil })
	if err != nil {
		t.Fatal(err)
	}
	for topic, n := range counts {
		want := int32(4)
		if topic.Name == "l" || topic.Name == "a-join-subscription-response-topic" {
			want = 12
		}
		if n != want {
			t.Errorf("topic %s has %d partitions, want %d", topic.Name, n, want)
		}
	}
	var names []string
	for _, s := range topo.g.SubTopologies {
		names = append(names, s.Name)
	}
	if want := []string{"r", "by-user-repartition", "l"}; !slices.Equal(names, want) {
		t.Errorf("the sub-topologies are %q, want %q", names, want)
	}
	b = New()
	two := JoinTables(SourceTable(b, "r", serde.String, serde.String), SourceTable(b, "s", serde.String, serde.String), both, serde.String)
	JoinForeign(SourceTable(b, "l", serde.String, serde.String), two, "joined", ownerOf, both, serde.String)
	if topo, err = b.Build(); err != nil {
		t.Fatal(err)
	}
	_, err = topo.g.PartitionCounts(func(topic string) (int32, error) { return map[string]int32{"l": 3, "r": 4, "s": 5}[topic], nil })
	if err == nil || !strings.Contains(err.Error(), "r has 4, s has 5") {
		t.Errorf("error %v", err)
	}
}

func TestForeignJoinProblems(t *testing.T) {
	t.Parallel()
	b := New()
	bare := SourceTable(b, "bare", serde.String, serde.String, WithoutStore())
	users := SourceTable(b, "table", serde.String, serde.String)
	JoinForeign(users, bare, "bare-right", ownerOf, both, serde.String)
	JoinForeign(bare, users, "bare-left", ownerOf, both, serde.String)
	JoinForeign[string, string, string, string, string](users, users, "nil-key", nil, both, serde.String)
	LeftJoinForeign[string, string, string, string, string](users, users, "nil-join", ownerOf, nil, serde.String)
	JoinForeign(users, users, "", ownerOf, both, serde.String)
	JoinForeign(users, SourceTable(New(), "far", serde.String, serde.String), "far-join", ownerOf, both, serde.String)
	self := JoinTables(users, users.Filter(startsWithY), both, serde.String, Named("self"))
	JoinForeign(self, users, "self-join", ownerOf, both, serde.String)
	joined := JoinForeign(users, users, "twice", ownerOf, both, serde.String)
	JoinForeign(joined, users, "twice", ownerOf, both, serde.String)
	GroupTable(joined, "by-letter", firstLetter, serde.String).Count("n")
	Join(Source(b, "in", serde.String, serde.String), joined, both, serde.String, Named("with-joined"))
	users.Stream().To("app-twice-subscription-response-topic")
	_, err := b.Build()
	for _, want := range []string{
		`joinForeign "bare-right-subscription-receive": table "bare-table" has no store, so its rows cannot be looked up`,
		`joinForeign "bare-left-subscription-response-resolver": table "bare-table" has no store`,
		`joinForeign "nil-key": the function is nil`, `leftJoinForeign "nil-join": the function is nil`,
		`needs a name, which names its topics, its store and the changelog`,
		`joinForeign "far-join": was given a handle of another Builder`,
		`joinForeign "self-join": table "self" does not know the old rows of its updates: call Stored on it first`,
		`the name "twice" is used by a joinForeign and by a joinForeign`,
		`groupTable "by-letter": the table has no store, so its old values cannot be subtracted: call Stored on the table first`,
		`join "with-joined": table "twice" has no store, so its rows cannot be looked up: call Stored on the table first`,
		`has the name of an internal topic, <app>-twice-subscription-response-topic: only its join may write to it`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error\n%v", want, err)
		}
	}
}

// TestForeignJoinOfWindows: the right table may be windowed: its keys, and so the foreign
// keys, are windowed ones.
func TestForeignJoinOfWindows(t *testing.T) {
	t.Parallel()
	b := New()
	counts := GroupByKey(Source(b, "r", serde.String, serde.String), "by").Window(Tumbling(10 * time.Millisecond)).Count("counts")
	window := func(v string) (serde.Windowed[string], bool) {
		key, ok := ownerOf(v)
		return serde.Windowed[string]{Key: key, Window: serde.Window{Start: 10, End: 20}}, ok
	}
	JoinForeign(SourceTable(b, "l", serde.String, serde.String), counts.Table, "joined", window,
		func(l string, n int64) string { return fmt.Sprint(l, "+", n) }, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate(), graphtest.WithPartitions(3))
	f.Feed("r", "x:1@5", "x:2@15")
	f.Feed("l", "a:x/1@1")
	f.Feed("r", "x:3@16")
	f.Expect("out a:x/1+1@15", "out a:x/1+2@16")
}

// TestStrangeMessagesOfForeignJoins: messages that no join has sent are dropped and
// counted.
func TestStrangeMessagesOfForeignJoins(t *testing.T) {
	t.Parallel()
	b := New()
	left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String)
	JoinForeign(left, right, "joined", ownerOf, both, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("r", "x:X@1")
	const subscriptions, responses = "app-joined-subscription-registration-topic", "app-joined-subscription-response-topic"
	f.Feed(subscriptions, "x:-@2")
	withoutKey, err := foreign.Subscriptions().Append(nil, foreign.Subscription{Instruction: foreign.Subscribe, Primary: "a", Partition: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Process(graph.Input{Topic: subscriptions, Value: withoutKey, Timestamp: 3}); err != nil {
		t.Fatal(err)
	}
	f.Feed(responses, "a:-@4", "-:-@5")
	f.Expect()
	f.ExpectDrops("joined-subscription-receive: null value", "joined-subscription-receive: null key",
		"joined-subscription-response-resolver: null value", "joined-subscription-response-resolver: null key")
}

// TestForeignJoinOfSessions: the row of a session has the end of the session as its
// timestamp.
func TestForeignJoinOfSessions(t *testing.T) {
	t.Parallel()
	b := New()
	counts := GroupByKey(Source(b, "r", serde.String, serde.String), "by").Sessions(ms(10)).Count("counts")
	session := func(v string) (serde.Windowed[string], bool) {
		return serde.Windowed[string]{Key: v, Window: serde.Window{Start: 1, End: 9}}, true
	}
	JoinForeign(SourceTable(b, "l", serde.String, serde.String), counts.Table, "joined", session,
		func(l string, n int64) string { return fmt.Sprint(l, "+", n) }, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("r", "x:1@9", "x:2@1") // the last record is the earlier one
	f.Feed("l", "a:x@2")
	f.Expect("out a:x+2@9")
}
