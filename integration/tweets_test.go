package integration

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/tweets/sample"
)

var tweets = &program{pkg: "../examples/tweets"}

// tweet has the fields of a tweet that this test needs.
type tweet struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
	User struct {
		ScreenName string `json:"screen_name"`
	} `json:"user"`
	RetweetedStatus *struct {
		ID int64 `json:"id"`
	} `json:"retweeted_status"`
	Entities struct {
		URLs []struct {
			ExpandedURL string `json:"expanded_url"`
		} `json:"urls"`
	} `json:"entities"`
}

// expectation is the expected output for the sample, counted without Millrace.
type expectation struct {
	originals, broken int
	filtered          map[int64]int
	terms             map[string]int64
}

func expect(terms, domains []string) expectation {
	e := expectation{filtered: map[int64]int{}, terms: map[string]int64{}}
	for line := range sample.Lines() {
		var t tweet
		if json.Unmarshal(line, &t) != nil {
			e.broken++
			continue
		}
		if t.RetweetedStatus != nil {
			continue
		}
		e.originals++
		keep := false
		for _, term := range terms {
			if strings.Contains(strings.ToLower(t.Text), term) {
				e.terms[term]++
				keep = true
			}
		}
		for _, link := range t.Entities.URLs {
			u, err := url.Parse(link.ExpandedURL)
			for _, domain := range domains {
				keep = keep || err == nil && (u.Hostname() == domain || strings.HasSuffix(u.Hostname(), "."+domain))
			}
		}
		if keep {
			e.filtered[t.ID]++
		}
	}
	return e
}

// TestTweets runs the tweets example against the cluster, and kills it several times. It
// compares the results with an independent count of the same input.
func TestTweets(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	want := expect([]string{"kafka", "oracle"}, []string{"github.com"})
	app := name(t, "app")
	c.cleanUp(t, app)
	inputs := []string{app, app + "-more"}
	args := []string{"-brokers", c.brokers, "-name", app, "-state-dir", filepath.Join(t.TempDir(), "state"),
		"-interval", "1s", "-window", "10s", "-terms", "kafka,oracle", "-domains", "github.com"}
	for _, topic := range append(inputs, app+"-filtered", app+"-terms", app+"-terms-window", app+"-broken") {
		c.createTopic(t, topic, 4)
	}

	p := start(t, tweets, args...)
	i := 0
	client := c.client(t)
	for line := range sample.Lines() {
		client.Produce(t.Context(), &kgo.Record{Topic: inputs[i%2], Value: line}, nil)
		if i++; i%(sample.Count/3) == 0 && i < sample.Count {
			p.line("Time: ")
			p.kill()
			p = start(t, tweets, args...)
		}
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.drained(t, []*process{p}, app, inputs...)
	var total int64
	for _, n := range want.terms {
		total += n
	}
	// wait until the last batch is closed
	for deadline := time.Now().Add(patience); ; pause(200 * time.Millisecond) {
		if sum(termCounts(t, c.read, app+"-terms")) == total {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("counted %v, want %v", termCounts(t, c.read, app+"-terms"), want.terms)
		}
	}
	p.stop()

	if diff := cmp.Diff(want.terms, termCounts(t, c.committed, app+"-terms")); diff != "" {
		t.Errorf("counts by term, over all batches (-want +got)\n%s", diff)
	}
	filtered, broken := map[int64]int{}, 0
	c.committed(t, app+"-filtered", func(r *kgo.Record) {
		var got tweet
		if err := json.Unmarshal(r.Value, &got); err != nil {
			t.Errorf("filtered: %v: %s", err, r.Value)
		}
		filtered[got.ID]++
	})
	c.committed(t, app+"-broken", func(*kgo.Record) { broken++ })
	if diff := cmp.Diff(want.filtered, filtered); diff != "" {
		t.Errorf("filtered tweets by ID (-want +got)\n%s", diff)
	}
	if broken != want.broken {
		t.Errorf("%d dead letters, want %d", broken, want.broken)
	}
}

// termCounts returns the sums of a topic of counts by key. If a batch has two rows for
// one key, the test fails.
func termCounts(t *testing.T, read func(*testing.T, string, func(*kgo.Record)), topic string) map[string]int64 {
	t.Helper()
	type row struct {
		term string
		at   time.Time
	}
	seen, sums := map[row]bool{}, map[string]int64{}
	read(t, topic, func(r *kgo.Record) {
		at := row{string(r.Key), r.Timestamp}
		if seen[at] {
			t.Errorf("%s: two rows for %s in the batch that ends at %v", topic, at.term, at.at)
		}
		seen[at] = true
		var count struct{ Count int64 }
		if err := json.Unmarshal(r.Value, &count); err != nil {
			t.Fatalf("%s: %v: %s", topic, err, r.Value)
		}
		sums[at.term] += count.Count
	})
	return sums
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}
