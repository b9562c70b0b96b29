package integration

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

var everything = &program{pkg: "./everything"}

// everythingJob is two processes of the program everything, and the input that they were
// given.
type everythingJob struct {
	history
	t           *testing.T
	c           *cluster
	flags       []string // of the program
	rng         *rand.Rand
	client      *kgo.Client
	application string
	prefix      string // of all topics
	dirs        [2]string
	running     [2]*process
	base        int64 // ms
	orderTopics []string
	produced    int // orders and clicks
}

const (
	everythingPartitions = 2
	everythingOperators  = 42 // with results of their own
)

// TestEverything: one topology with all families of operators runs in two processes. They
// are killed at random, every second time with the loss of the disk. A model that sees
// all records at once judges the results. MILLRACE_TORTURE=full kills more often.
func TestEverything(t *testing.T) {
	t.Parallel()
	kills, records := 3, 400
	if os.Getenv("MILLRACE_TORTURE") == "full" {
		kills, records = 24, 1000
	}
	newEverything(t).run(kills, records, (*everythingJob).kill).check((*results).equal)
}

// TestEverythingAtLeastOnce: a process that is killed processes the records behind its
// last commit again. Nothing may be missing. After clean ends everything comes once.
func TestEverythingAtLeastOnce(t *testing.T) {
	ends, records := 2, 200
	if os.Getenv("MILLRACE_TORTURE") == "full" {
		ends, records = 24, 1000
	}
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		newEverything(t, "-at-least-once").run(ends, records, (*everythingJob).kill).check((*results).atLeast)
	})
	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		stop := func(j *everythingJob, i int) { j.running[i].stop() }
		newEverything(t, "-at-least-once").run(ends, records, stop).check((*results).equal)
	})
}

func newEverything(t *testing.T, flags ...string) *everythingJob {
	c := kafka(t)
	j := &everythingJob{t: t, c: c, flags: flags, rng: seedtest.Rand(t, "./integration"), client: c.client(t), application: name(t, "app")}
	j.prefix = j.application + "."
	j.base = time.Now().Add(-72 * time.Hour).Truncate(time.Minute).UnixMilli()
	c.cleanUp(t, j.application)
	return j
}

// run ends one of the processes several times, and starts it again, every second time
// without its disk. It returns when everything is processed.
func (j *everythingJob) run(ends, records int, end func(j *everythingJob, i int)) *everythingJob {
	j.prepare()
	for k := range ends {
		j.produce(k, records)
		if k == 1 {
			// a process that starts later finds it at once, the others within ten seconds
			j.createOrders("c")
		}
		i := j.rng.IntN(len(j.running))
		// a new identity waits for the session of the old one
		j.running[i].line("state running")
		pause(time.Duration(j.rng.IntN(1200)) * time.Millisecond)
		end(j, i)
		if k%2 == 1 {
			if err := os.RemoveAll(j.dirs[i]); err != nil {
				j.t.Fatal(err)
			}
		}
		j.start(i)
	}
	j.produce(ends, records)
	j.drained()
	j.close()
	j.drained()
	return j
}

func (j *everythingJob) kill(i int) { j.running[i].kill() }

// prepare creates the topics, fills the tables that do not change later, and starts the
// processes. They have read these tables when it returns.
func (j *everythingJob) prepare() {
	for _, topic := range []string{"out", "clicks", "users", "accounts", "prices"} {
		j.c.createTopic(j.t, j.prefix+topic, everythingPartitions)
	}
	j.c.createTopicWith(j.t, j.prefix+"tiers", everythingPartitions, map[string]string{"cleanup.policy": "compact"})
	for _, topic := range []string{"tickets", "regions", "ratings"} {
		j.c.createTopic(j.t, j.prefix+topic, everythingPartitions+1)
	}
	j.createOrders("a")
	j.createOrders("b")
	for i := range everythingKeys / 2 {
		j.tier = append(j.tier, change{userOf(i), "tier-" + strconv.Itoa(i%3), j.base})
		j.regions = append(j.regions, change{itemOf(i), "region-" + strconv.Itoa(i%3), j.base})
		for range i {
			j.ratings = append(j.ratings, change{itemOf(i), "good", j.base})
		}
	}
	j.sendChanges("tiers", j.tier)
	j.sendChanges("regions", j.regions)
	j.sendChanges("ratings", j.ratings)
	j.flush()
	for i := range j.running {
		j.dirs[i] = filepath.Join(j.t.TempDir(), "state")
		j.start(i)
	}
	j.c.drained(j.t, j.running[:], j.application, j.prefix+"tiers")
}

// createOrders creates a topic that the pattern of the orders matches.
func (j *everythingJob) createOrders(letter string) {
	j.orderTopics = append(j.orderTopics, j.prefix+"orders-"+letter)
	j.c.createTopic(j.t, j.prefix+"orders-"+letter, everythingPartitions)
}

func (j *everythingJob) start(i int) {
	args := []string{"-brokers", j.c.brokers, "-app", j.application, "-prefix", j.prefix, "-state-dir", j.dirs[i]}
	j.running[i] = start(j.t, everything, append(args, j.flags...)...)
}

const everythingKeys = 20

func userOf(i int) string { return "user" + strconv.Itoa(i) }
func itemOf(i int) string { return "item" + strconv.Itoa(i) }

// produce sends n records to the topics, with timestamps out of order.
func (j *everythingJob) produce(round, n int) {
	at := func() int64 { return j.base + int64(round)*60_000 + int64(j.rng.IntN(90_000)) }
	user := func() string { return userOf(j.rng.IntN(everythingKeys)) }
	var h history
	for range n {
		j.produced++
		id := strconv.Itoa(j.produced)
		h.orders = append(h.orders, purchase{"o" + id, itemOf(j.rng.IntN(everythingKeys)), 1 + j.rng.Int64N(9), user(), at()})
		h.clicks = append(h.clicks, change{user(), "c" + id + strings.Repeat("/x", j.rng.IntN(3)), at()})
	}
	for range n / 4 {
		h.users = append(h.users, j.change(user(), at(), "Rome", "Lima", "Tokyo", "Vienna"))
		h.accounts = append(h.accounts, j.change(user(), at(), "1", "20", "300", "4000"))
		h.tickets = append(h.tickets, j.change("ticket"+strconv.Itoa(j.rng.IntN(everythingKeys)), at(), user()+"/1", user()+"/2", "-"))
		h.prices = append(h.prices, j.change(user(), at(), "10", "11", "12", "13"))
	}
	j.send(h)
	j.flush()
	j.orders, j.clicks = append(j.orders, h.orders...), append(j.clicks, h.clicks...)
	j.users, j.accounts = append(j.users, h.users...), append(j.accounts, h.accounts...)
	j.tickets, j.prices = append(j.tickets, h.tickets...), append(j.prices, h.prices...)
}

// change is one of the values, or a deletion.
func (j *everythingJob) change(key string, at int64, values ...string) change {
	if i := j.rng.IntN(len(values) + 1); i < len(values) {
		return change{key, values[i], at}
	}
	return change{key, "", at}
}

func (j *everythingJob) send(h history) {
	for _, o := range h.orders {
		value, err := json.Marshal(o)
		if err != nil {
			j.t.Fatal(err)
		}
		topic := j.orderTopics[j.rng.IntN(len(j.orderTopics))]
		j.client.Produce(j.t.Context(), &kgo.Record{Topic: topic, Key: []byte(o.user), Value: value, Timestamp: time.UnixMilli(o.at)}, nil)
	}
	j.sendChanges("clicks", h.clicks)
	j.sendChanges("users", h.users)
	j.sendChanges("accounts", h.accounts)
	j.sendChanges("tickets", h.tickets)
	j.sendChanges("prices", h.prices)
}

func (j *everythingJob) sendChanges(topic string, changes []change) {
	for _, c := range changes {
		value := []byte(c.value)
		if n, err := strconv.Atoi(c.value); topic == "accounts" && err == nil {
			value = binary.BigEndian.AppendUint64(nil, uint64(n))
		}
		if c.value == "" {
			value = nil
		}
		j.client.Produce(j.t.Context(), &kgo.Record{Topic: j.prefix + topic, Key: []byte(c.key), Value: value, Timestamp: time.UnixMilli(c.at)}, nil)
	}
}

func (j *everythingJob) flush() {
	j.t.Helper()
	if err := j.client.Flush(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// close moves the stream time of each task beyond the grace of all operators. The items
// of the orders lie in all partitions of the repartition topic by item.
func (j *everythingJob) close() {
	client := j.c.client(j.t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	at := time.UnixMilli(j.base + (48 * time.Hour).Milliseconds())
	const items = 10
	for p := range int32(everythingPartitions) {
		client.Produce(j.t.Context(), &kgo.Record{Topic: j.prefix + "clicks", Partition: p, Key: []byte(closing), Value: []byte(closing), Timestamp: at}, nil)
		for _, topic := range j.orderTopics {
			for i := range items {
				value := fmt.Appendf(nil, `{"id": "closing", "item": "closing%d", "n": 1}`, i)
				client.Produce(j.t.Context(), &kgo.Record{Topic: topic, Partition: p, Key: []byte(closing), Value: value, Timestamp: at}, nil)
			}
		}
	}
	if err := client.Flush(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// drained waits until all inputs, and all topics between tasks, are processed.
func (j *everythingJob) drained() {
	j.t.Helper()
	topics := append([]string{}, j.orderTopics...)
	for _, topic := range []string{"clicks", "users", "accounts", "tickets", "tiers", "prices"} {
		topics = append(topics, j.prefix+topic)
	}
	all, err := j.c.admin(j.t).ListTopics(j.t.Context())
	if err != nil {
		j.t.Fatal(err)
	}
	between := 0
	for _, topic := range all.Names() {
		if strings.HasPrefix(topic, j.application+"-") && (strings.HasSuffix(topic, "-repartition") || strings.HasSuffix(topic, "-topic")) {
			topics = append(topics, topic)
			between++
		}
	}
	if between < 5 {
		j.t.Fatalf("there are only %d topics between tasks", between)
	}
	j.c.drained(j.t, j.running[:], j.application, topics...)
}

// check ends the processes and judges what they have sent, which the model's results are
// given to.
func (j *everythingJob) check(judge func(got, want *results) (differences []string)) {
	for _, p := range j.running {
		p.stop()
		if wiped := p.wiped(); len(wiped) > 0 {
			j.t.Errorf("state was wiped: %v", wiped)
		}
	}
	j.c.timedOut(j.t, j.prefix+"out")
	got, want := newResults(), j.model()
	j.c.committed(j.t, j.prefix+"out", func(r *kgo.Record) {
		if !strings.Contains(string(r.Key), closing) {
			got.add(string(r.Key), string(r.Value))
		}
	})
	if differences := judge(got, want); len(differences) > 0 {
		j.t.Errorf("%d rows and %d events, want %d and %d; differences:\n%s", len(got.rows), len(got.events), len(want.rows), len(want.events), strings.Join(differences, "\n"))
	}
	operators := map[string]bool{}
	for _, keys := range []iter.Seq[string]{maps.Keys(want.rows), maps.Keys(want.events)} {
		for key := range keys {
			operator, _, _ := strings.Cut(key, " ")
			operators[operator] = true
		}
	}
	if len(operators) != everythingOperators {
		j.t.Errorf("the input is too poor: only %d operators have results, %v", len(operators), slices.Sorted(maps.Keys(operators)))
	}
	j.t.Logf("%d rows and %d events of %d orders and clicks, from %d operators", len(want.rows), len(want.events), 2*j.produced, len(operators))
}
