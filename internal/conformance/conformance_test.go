package conformance

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestConformance runs all cases, and prints the results by area.
func TestConformance(t *testing.T) {
	cases := loadCases(t)
	list := loadDepartures(t)
	results := newResults()
	variants := variantsOf(cases)
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				end := judge(t, c, variants[c], list)
				if without := judge(t, c, variants[c], list, noShortcuts()); without.ending != end.ending {
					t.Errorf("without shortcuts to rows the case ends otherwise: %v", without.why)
				}
				results.add(c, end)
				if end.ending == notThere {
					t.Skip("not yet: " + end.why)
				}
			})
		}
	})
	t.Logf("conformance with Kafka Streams\n%s", results.table())
	if testing.Verbose() {
		t.Logf("departures\n%s", results.lines(departs))
		t.Logf("not yet\n%s", results.reasons(notThere))
	}
	if t.Failed() {
		t.Logf("failures\n%s", results.lines(fails))
	}
}

// noShortcuts makes every access look up its row.
func noShortcuts() topologytest.Option { return seam.NoShortcuts().(topologytest.Option) }

type ending int

const (
	passes ending = iota
	departs
	notThere
	fails
)

// result is the result of a case, with the reason.
type result struct {
	ending ending
	why    string
}

// judge runs a case and compares it. If the result is fails, the test fails.
func judge(t *testing.T, c, variant *testCase, list *departures, opts ...topologytest.Option) (end result) {
	defer func() {
		if v := recover(); v != nil {
			end = fail(t, fmt.Sprintf("%s: a mistake in the case, or in the runner: %v\n%s", c.file, v, debug.Stack()))
		}
	}()
	o, err := run(t, c, opts...)
	var missing *notYetError
	if errors.As(err, &missing) {
		return result{notThere, missing.what}
	}
	if err != nil {
		return fail(t, err.Error())
	}
	if c.unknown != nil {
		return result{notThere, c.unknown.Error()}
	}
	found := compare(c, o)
	if len(found) == 0 {
		return result{passes, ""}
	}
	if why := list.find(c, o, found); why != "" {
		return result{departs, why}
	}
	if why := list.byVariant(c, variant, o); why != "" {
		return result{departs, why}
	}
	return fail(t, show3(list.uncovered(c, o, found)))
}

func fail(t *testing.T, why string) result {
	t.Error(why)
	return result{fails, why}
}

// show3 describes the first differences.
func show3(found []difference) string {
	var out []string
	for _, d := range found[:min(3, len(found))] {
		out = append(out, fmt.Sprintf("%s: %s", d.aspect, d.text))
	}
	if more := len(found) - 3; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, "\n")
}

// results are the results of all cases.
type results struct {
	mu    sync.Mutex
	all   map[*testCase]result
	areas map[string]*[4]int
}

func newResults() *results {
	return &results{all: map[*testCase]result{}, areas: map[string]*[4]int{}}
}

func (r *results) add(c *testCase, end result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[c] = end
	if r.areas[c.Area] == nil {
		r.areas[c.Area] = new([4]int)
	}
	r.areas[c.Area][end.ending]++
}

func (r *results) table() string {
	var b strings.Builder
	line := func(name string, n [4]int) {
		fmt.Fprintf(&b, "%-28s %6d %10d %8d %6d\n", name, n[passes], n[departs], n[notThere], n[fails])
	}
	fmt.Fprintf(&b, "%-28s %6s %10s %8s %6s\n", "area", "pass", "departure", "not yet", "fail")
	var all [4]int
	for _, area := range slices.Sorted(maps.Keys(r.areas)) {
		line(area, *r.areas[area])
		for i, n := range r.areas[area] {
			all[i] += n
		}
	}
	line("all", all)
	return b.String()
}

// lines lists the cases with a given result.
func (r *results) lines(e ending) string {
	var lines []string
	for c, end := range r.all {
		if end.ending == e {
			lines = append(lines, fmt.Sprintf("%s: %s\n", c.Name, end.why))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// reasons counts the cases with a given result, by reason.
func (r *results) reasons(e ending) string {
	count := map[string]int{}
	for _, end := range r.all {
		if end.ending == e {
			count[end.why]++
		}
	}
	var b strings.Builder
	for _, why := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&b, "%4d  %s\n", count[why], why)
	}
	return b.String()
}
