package health

import (
	"errors"
	"testing"
	"time"
)

var errSilent = errors.New("no answer")

// A script consists of rounds, one a second, from 1 s on. Each round says which of
// brokers 1 and 2, and the group, answer.
func TestTracker(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(0)
	for name, tc := range map[string]struct {
		// One letter a round: a all, n none, 1 only broker 1, g all but the group.
		rounds  string
		cluster time.Duration
		group   time.Duration // -1 is within reach
		brokers int
	}{
		"all answer":             {"aaaa", -1, -1, 0},
		"one round failed":       {"aaan", -1, -1, 0},
		"not for long enough":    {"aann", -1, -1, 0},
		"silence":                {"aannn", 2 * time.Second, 2 * time.Second, 2},
		"silence from the start": {"nnnn", time.Second, time.Second, 2},
		"it goes on":             {"aannnnn", 2 * time.Second, 2 * time.Second, 2},
		"it is over":             {"aannnna", -1, -1, 0},
		"one broker":             {"aa111", -1, -1, 1},
		"the group":              {"aaggg", -1, 2 * time.Second, 0},
		"now and then":           {"nnannann", -1, -1, 0},
	} {
		tracker := &Tracker{}
		var r Report
		for i, c := range tc.rounds {
			round := Round{Brokers: []Answer{{ID: 1}, {ID: 2}}}
			if c == 'n' {
				round.Brokers[0].Err = errSilent
			}
			if c == 'n' || c == '1' {
				round.Brokers[1].Err = errSilent
			}
			if c == 'g' {
				round.Group = errSilent
			}
			r, _ = tracker.Observe(start.Add(time.Duration(i+1)*time.Second), round)
		}
		since := func(o Outage) time.Duration {
			if !o.Out() {
				return -1
			}
			return o.Since.Sub(start)
		}
		if since(r.Cluster) != tc.cluster || since(r.Group) != tc.group || len(r.Brokers) != tc.brokers {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
