package conformance

import (
	"slices"
	"strings"
	"testing"
)

// departures is the content of departures.json: where Millrace deliberately differs from
// Kafka Streams, and why. Cases are not listed by name. A departure is recognised by what
// the case does and how the result differs. Other cases that differ for the same reason
// are therefore recognised, and a fault in the same cases is not accepted.
type departures struct {
	// Rules are departures of single differences. The function with the same name in
	// rules recognises them.
	Rules []*departure

	// Variants are departures of cases that have a variant with Millrace's results, by
	// the suffix of the variant's name.
	Variants []*departure
}

type departure struct {
	Name   string
	Only   []aspect // aspects that may differ, for rules
	Reason string
}

func loadDepartures(t *testing.T) *departures {
	t.Helper()
	var d departures
	if err := readJSON("departures.json", &d); err != nil {
		t.Fatalf("departures.json: %v", err)
	}
	for _, one := range slices.Concat(d.Rules, d.Variants) {
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

// find returns why the differences are allowed. Each must be allowed by one of the rules;
// otherwise the result is empty.
func (d *departures) find(c *testCase, o *observed, found []difference) string {
	var reasons []string
	for _, f := range found {
		rule := d.ruleFor(c, o, f)
		if rule == nil {
			return ""
		}
		if !slices.Contains(reasons, rule.Reason) {
			reasons = append(reasons, rule.Reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// uncovered returns the differences that no rule allows.
func (d *departures) uncovered(c *testCase, o *observed, found []difference) []difference {
	return slices.DeleteFunc(slices.Clone(found), func(f difference) bool { return d.ruleFor(c, o, f) != nil })
}

// ruleFor returns the first rule that allows a difference, or nil.
func (d *departures) ruleFor(c *testCase, o *observed, f difference) *departure {
	for _, one := range d.Rules {
		if slices.Contains(one.Only, f.aspect) && rules[one.Name](&subject{c, o}, f) {
			return one
		}
	}
	return nil
}

// byVariant returns why a case may give the results of its variant. The final content of
// its stores is left out, because it depends on the retention, in which the two differ.
func (d *departures) byVariant(c, variant *testCase, o *observed) string {
	if variant == nil {
		return ""
	}
	expected := variant.withNamesOf(c)
	expected.Stores, expected.Describe = nil, c.Describe
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
