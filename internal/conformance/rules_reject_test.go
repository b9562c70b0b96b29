package conformance

import (
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/topologytest"
)

// TestWrongResultsAreNoDepartures checks that the rules accept no fault. In each case
// that passes or departs, it replaces the values of the records on the user's topics, one
// after the other, with a value that no function has computed. Each replacement must make
// the case fail, unless a rule accepts any records there. With -short, it takes every
// eighth case.
//
// The test needs the default corpus: another one may have results that are not compared,
// such as the texts of errors.
func TestWrongResultsAreNoDepartures(t *testing.T) {
	if _, asked := corpusDirs(); asked {
		t.Skip("MILLRACE_CONFORMANCE names another corpus")
	}
	cases := loadCases(t)
	list := loadDepartures(t)
	changed := 0
	for i, c := range cases {
		if c.unknown != nil || testing.Short() && i%8 != 0 {
			continue
		}
		o, err := run(t, c)
		if err != nil {
			continue // not yet
		}
		if found := compare(c, o); len(found) > 0 && list.find(c, o, found) == "" {
			continue // TestConformance reports it, unless its variant is compared
		}
		for i := range o.steps {
			for topic, records := range o.steps[i].topics {
				if len(records) == 0 || len(records[0].Value) == 0 || c.Topics[topic].Role == "" {
					continue
				}
				changed++
				right := records[0].Value
				records[0].Value = append(slices.Clone(right), " wrong"...)
				if why := list.find(c, o, compare(c, o)); why != "" && !anythingGoes(c, o, i+1) {
					t.Errorf("%s: step %d, topic %s: a wrong value is taken for a departure: %s", c.Name, i+1, topic, why)
				}
				records[0].Value = right
			}
		}
	}
	t.Logf("%d records were changed", changed)
	if changed == 0 && len(cases) > 0 {
		t.Error("no record was changed: the test tests nothing")
	}
}

// anythingGoes reports whether one of the rules that accept any records applies to a
// step.
func anythingGoes(c *testCase, o *observed, step int) bool {
	any := difference{aspect: inOut, step: step, want: []wanted{{}}, got: []topologytest.Record{{Value: []byte("x")}}}
	s := &subject{c, o}
	return punctuatorsDueTogether(s, any) || windowsBefore1970(s, any) || negativeTimestampsInState(s, any) || getAmongDuplicates(s, any) || deletionsAmongDuplicates(s, any)
}
