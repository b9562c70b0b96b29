package conformance

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// If a case does not give a name, Kafka Streams generates one from a role and the number
// of the operation. Millrace does not generate names of stores and topics. The
// interpreter therefore gives Millrace the generated names that the case shows: for each
// role in order of number, which is the order of the operations.

// names are the generated names in a case, in order of number, by role.
type names struct {
	byRole    map[string][]string
	groupings map[string]bool // names of groupings with a repartition topic
	// Millrace's names of stores and changelogs that cannot have the case's names
	alias map[string]string
	// no name may be made up
	explicit bool
}

var madeUp = regexp.MustCompile(`(?:(?:COGROUP)?K(?:STREAM|TABLE)-(?:[A-Z]+-)+|[a-z0-9]+-STATE-STORE-)[0-9]{10}`)

func namesOf(c *testCase) *names {
	all := madeUp.FindAllString(c.Describe, -1)
	for name := range c.Stores {
		all = append(all, madeUp.FindAllString(name, -1)...)
	}
	for _, topic := range c.InternalTopics {
		all = append(all, madeUp.FindAllString(topic, -1)...)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(strings.Compare(number(a), number(b)), strings.Compare(a, b)) })
	n := &names{byRole: map[string][]string{}, groupings: map[string]bool{}, alias: map[string]string{}, explicit: c.Config[explicitNaming] == true}
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

// withNamesOf returns a variant with the generated names of its case: an option of a
// store changes the numbers of all that follow.
func (c *testCase) withNamesOf(other *testCase) testCase {
	var pairs []string
	theirs, ours := namesOf(c).byRole, namesOf(other).byRole
	for role, list := range theirs {
		for i, name := range list[:min(len(list), len(ours[role]))] {
			pairs = append(pairs, name, ours[role][i])
		}
	}
	rename := strings.NewReplacer(pairs...)
	out := *c
	out.Steps = slices.Clone(c.Steps)
	for i, st := range out.Steps {
		out.Steps[i].Internal = renamed(st.Internal, rename)
	}
	out.InternalDigest = renamed(c.InternalDigest, rename)
	return out
}

func renamed[V any](m map[string]V, names *strings.Replacer) map[string]V {
	out := make(map[string]V, len(m))
	for name, v := range m {
		out[names.Replace(name)] = v
	}
	return out
}

func number(name string) string { return name[len(name)-10:] }

// explicitNaming is the configuration with which Kafka Streams refuses names that it
// would have to generate. Millrace always does: an operator without a name is given none.
const explicitNaming = "ensure.explicit.internal.resource.naming"

// next returns the next generated name of a role. If nothing is written under a name, the
// case need not show it, and any name will do.
func (n *names) next(role, id string) string {
	if n.explicit {
		return ""
	}
	if list := n.byRole[role]; len(list) > 0 {
		n.byRole[role] = list[1:]
		return list[0]
	}
	return role + "-" + id
}

// table returns Millrace's name of a table that is called base in Kafka Streams. It is
// base, unless a grouping has that name: in Millrace the two cannot share a name. The
// grouping keeps it, because the name of its repartition topic can be in the data,
// through a processor or a dead letter.
func (n *names) table(base string) string {
	if base == "" || !n.groupings[base] {
		return base
	}
	name := base + "-table"
	n.call(base, name)
	return name
}

// call notes Millrace's name of a store, and of its changelog.
func (n *names) call(theirs, ours string) {
	n.alias[theirs] = ours
	n.alias[internalTopic(theirs, "changelog")] = internalTopic(ours, "changelog")
}

// here returns Millrace's name of a store or topic of the case.
func (n *names) here(name string) string {
	if other := n.alias[name]; other != "" {
		return other
	}
	return name
}

// applicationID is the application ID of all cases.
const applicationID = "conf"

func internalTopic(name, kind string) string { return applicationID + "-" + name + "-" + kind }
