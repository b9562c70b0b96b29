package conformance

import (
	"regexp"
	"slices"
	"strings"
)

// Kafka Streams makes names up for what a case does not name: a role and the number of the operation. Millrace has no made-up names of stores
// and topics, so the interpreter gives it those that the case shows: of each role in order of number, which is the order of the operations.

// names are the made-up names in a case, in order of number, by role.
type names struct {
	byRole map[string][]string
	taken  map[string]bool // names that the case gives to stores
	alias  map[string]string
}

var madeUp = regexp.MustCompile(`K(?:STREAM|TABLE)-(?:[A-Z]+-)+[0-9]{10}`)

func namesOf(c *testCase) *names {
	all := madeUp.FindAllString(c.Describe, -1)
	for name := range c.Stores {
		all = append(all, madeUp.FindAllString(name, -1)...)
	}
	for _, topic := range c.InternalTopics {
		all = append(all, madeUp.FindAllString(topic, -1)...)
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(number(a), number(b)) })
	n := &names{map[string][]string{}, map[string]bool{}, map[string]string{}}
	for _, name := range slices.Compact(all) {
		role := strings.TrimSuffix(name, "-"+number(name))
		n.byRole[role] = append(n.byRole[role], name)
	}
	for _, o := range c.Topology {
		if name := o.child("materialized").text("name"); name != "" {
			n.taken[name] = true
		}
	}
	return n
}

func number(name string) string { return name[len(name)-10:] }

// next returns the next made-up name of a role. A case need not show it, if nothing is written under it; then it does not matter.
func (n *names) next(role, id string) string {
	if list := n.byRole[role]; len(list) > 0 {
		n.byRole[role] = list[1:]
		return list[0]
	}
	return role + "-" + id
}

// grouping returns the name of a grouping whose repartition topic is called after base in Kafka Streams: base, unless the table has that name. In
// Millrace a grouping and a table cannot have one name; alias knows the topic's other name then.
func (n *names) grouping(base string, ofTable bool) string {
	if !ofTable && !n.taken[base] {
		return base
	}
	name := base + "-by"
	n.alias[internalTopic(base, "repartition")] = internalTopic(name, "repartition")
	return name
}

// topic returns Millrace's name of a topic of the case.
func (n *names) topic(name string) string {
	if other := n.alias[name]; other != "" {
		return other
	}
	return name
}

// applicationID is the one of all cases.
const applicationID = "conf"

func internalTopic(name, kind string) string { return applicationID + "-" + name + "-" + kind }
