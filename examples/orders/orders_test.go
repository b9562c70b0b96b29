package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/internal/exampletest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestJob runs the topology over a few orders. One payment is in time, one is late, one
// never comes.
func TestJob(t *testing.T) {
	t.Parallel()
	topo, err := job()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, topologytest.Partitions("orders", partitions), topologytest.Partitions("users", partitions),
		topologytest.Partitions("payments", partitions))
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	topologytest.Input(d, "users", serde.String, serde.JSON[user]()).Send("ann", users["ann"], noon)
	topologytest.Input(d, "regions", serde.String, serde.JSON[region]()).Send("no", regions["no"], noon)
	orders := topologytest.Input(d, "orders", serde.String, serde.JSON[order]())
	payments := topologytest.Input(d, "payments", serde.String, serde.JSON[payment]())
	buy := func(id string, second int) {
		orders.Send("ann", order{ID: id, User: "ann", Item: "tea", Count: 2, Price: 100, At: at(second)}, at(second))
	}
	pay := func(id string, second int) { payments.Send(id, payment{at(second)}, at(second)) }
	buy("1", 1)
	buy("2", 2)
	buy("3", 3)
	pay("1", 5)
	pay("2", 40)
	for second := 60; second < 200; second += 20 { // each partition has some of them
		id := fmt.Sprint(second)
		buy(id, second)
		pay(id, second+1)
	}

	got := map[string][]string{}
	for _, topic := range []string{"settled", "totals", "per-minute"} {
		for _, r := range d.Topic(topic) {
			text, err := line(&kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(int64(r.Timestamp))})
			if err != nil {
				t.Fatal(err)
			}
			got[topic] = append(got[topic], strings.Join(strings.Fields(text), " "))
		}
	}
	has(t, got["settled"], "12:00:01 paid Ann Berg Norway 2 × tea 2.50 order 1, after 4 s")
	has(t, got["settled"], "12:00:02 unpaid Ann Berg Norway 2 × tea 2.50 order 2, no payment within 30s")
	has(t, got["settled"], "12:00:03 unpaid Ann Berg Norway 2 × tea 2.50 order 3, no payment within 30s")
	if want := []string{"12:00:00 minute Norway 1 order 2.50 final", "12:01:00 minute Norway 3 orders 7.50 final"}; !cmp.Equal(got["per-minute"], want) {
		t.Errorf("minutes: got %q, want %q", got["per-minute"], want)
	}
	if last := got["totals"][len(got["totals"])-1]; last != "12:03:01 total Ann Berg 8 orders 20.00 so far" {
		t.Errorf("the last total is %q", last)
	}
}

func has(t *testing.T, lines []string, want string) {
	t.Helper()
	n := 0
	for _, got := range lines {
		if got == want {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%q came %d times, in %q", want, n, lines)
	}
}

var settledLine = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  (paid|unpaid) .* (\d+\.\d\d)  order (\d+), (?:after (\d+) s|no payment within 30s)$`)

// TestRun runs the whole program until it has printed final results. Each order was
// printed at most once, with the right amount and the time of its payment.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, stderr := exampletest.NewScreen(), exampletest.NewScreen()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, options{speed: 20, seed: 7}, stdout, stderr) }()
	stdout.WaitForCount(t, " minute ", 3)
	stdout.WaitForCount(t, " total ", 10)
	stdout.WaitForCount(t, " unpaid ", 1)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}

	amounts, seconds := expected(7, stdout.Text())
	seen := map[string]bool{}
	for _, m := range settledLine.FindAllStringSubmatch(stdout.Text(), -1) {
		if id := m[3]; seen[id] || m[2] != amounts[id] || m[1] == "paid" && m[4] != seconds[id] {
			t.Errorf("%q: want %s once, after %s s", m[0], amounts[id], seconds[id])
		}
		seen[m[3]] = true
	}
	if n := strings.Count(stdout.Text(), "paid "); len(seen) == 0 || len(seen) != n {
		t.Errorf("%d lines have orders, of %d", len(seen), n)
	}
}

// expected computes what each order costs, and after how many seconds it is paid, from
// what the shop sends.
func expected(seed uint64, printed string) (amounts, seconds map[string]string) {
	amounts, seconds = map[string]string{}, map[string]string{}
	at := map[string]time.Time{}
	s := newShop(func(_ context.Context, _, key string, value any, _ time.Time) error {
		switch v := value.(type) {
		case order:
			vat := regions[users[v.User].Region].VAT
			amounts[v.ID], at[v.ID] = (v.Price * cents(v.Count*(100+vat)) / 100).String(), v.At
		case payment:
			seconds[key] = fmt.Sprint(int(v.At.Sub(at[key]).Seconds()))
		}
		return nil
	}, seed, time.Now())
	const longest = 60 // seconds until the payments of all printed orders have come
	for end := 0; end < longest; {
		if s.orders >= strings.Count(printed, "\n") { // more than there are orders
			end++
		}
		_ = s.second(context.Background())
	}
	return amounts, seconds
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	if err := (options{speed: 1}).check(nil); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		"-speed 0":     options{}.check(nil),
		"-duration -1": options{speed: 1, duration: -time.Second}.check(nil),
		`"kafka"`:      options{speed: 1}.check([]string{"kafka"}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one that has %s", err, want)
		}
	}
}
