package conformance

import (
	"slices"
	"strings"
	"testing"
)

// departures is departures.json: where Millrace is not as Kafka Streams, on purpose, and why. No case is listed by its name: what decides is what the case
// does and how the result differs, so that other cases that differ for the same reason are recognised, and a fault in the same cases is not.
type departures struct {
	// Rules are departures of single differences. The function of the same name in rules tells which.
	Rules []*departure

	// Variants are departures of cases that have a variant with the results that Millrace gives, by the ending of the variant's name.
	Variants []*departure

	// NotCompared are areas whose subject the runner does not compare; their cases count as "not yet".
	NotCompared []*departure
}

type departure struct {
	Name   string
	Only   []aspect // what may differ, of rules
	Reason string
}

func loadDepartures(t *testing.T) *departures {
	t.Helper()
	var d departures
	if err := readJSON("departures.json", &d); err != nil {
		t.Fatalf("departures.json: %v", err)
	}
	for _, one := range slices.Concat(d.Rules, d.Variants, d.NotCompared) {
		if one.Name == "" || one.Reason == "" {
			t.Errorf("departures.json: an entry without name or reason: %+v", *one)
		}
	}
	for _, one := range d.Rules {
		if rules[one.Name] == nil || len(one.Only) == 0 {
			t.Errorf("departures.json: rule %q has no function, or does not say what may differ", one.Name)
		}
	}
	if len(rules) != len(d.Rules) {
		t.Errorf("departures.json has %d rules, there are %d functions", len(d.Rules), len(rules))
	}
	return &d
}

func (d *departures) notCompared(c *testCase) string {
	for _, one := range d.NotCompared {
		if one.Name == c.Area {
			return one.Reason
		}
	}
	return ""
}

// find returns why the differences are allowed, each by one of the rules. It is empty if one is not.
func (d *departures) find(c *testCase, o *observed, found []difference) string {
	var reasons []string
	for _, f := range found {
		i := slices.IndexFunc(d.Rules, func(one *departure) bool {
			return slices.Contains(one.Only, f.aspect) && rules[one.Name](&subject{c, o}, f)
		})
		if i < 0 {
			return ""
		}
		if !slices.Contains(reasons, d.Rules[i].Reason) {
			reasons = append(reasons, d.Rules[i].Reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// byVariant returns why a case may differ that gives the results of its variant. What its stores show at the end is left out: that depends on their
// retention, which is what the two differ in.
func (d *departures) byVariant(variant *testCase, o *observed) string {
	if variant == nil {
		return ""
	}
	expected := *variant
	expected.Stores = nil
	if found := compare(&expected, o); len(found) > 0 && d.find(&expected, o, found) == "" {
		return ""
	}
	for _, one := range d.Variants {
		if strings.HasSuffix(variant.Name, one.Name) {
			return one.Reason
		}
	}
	return ""
}
