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
	byRole    map[string][]string
	groupings map[string]bool   // names of what has a repartition topic
	alias     map[string]string // Millrace's names of stores and changelogs that cannot have the case's
}

var madeUp = regexp.MustCompile(`(?:K(?:STREAM|TABLE)-(?:[A-Z]+-)+|[a-z0-9]+-STATE-STORE-)[0-9]{10}`)

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
		switch o.text("op") {
		case "groupBy", "groupByKey", "repartition":
			n.groupings[o.text("name")] = true
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

// table returns the name of a table that is called base in Kafka Streams: base, unless a grouping has that name. In Millrace the two cannot have one
// name; the grouping keeps it, because the name of its repartition topic can be in the data: a processor writes it, or a dead letter.
func (n *names) table(base string) string {
	if !n.groupings[base] {
		return base
	}
	name := base + "-table"
	n.alias[base] = name
	n.alias[internalTopic(base, "changelog")] = internalTopic(name, "changelog")
	return name
}

// here returns Millrace's name of a store or topic of the case.
func (n *names) here(name string) string {
	if other := n.alias[name]; other != "" {
		return other
	}
	return name
}

// applicationID is the one of all cases.
const applicationID = "conf"

func internalTopic(name, kind string) string { return applicationID + "-" + name + "-" + kind }
