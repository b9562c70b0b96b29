package conformance

import (
	"slices"
	"strings"
	"testing"
)

// departures is departures.json: where Millrace is not as Kafka Streams, on purpose, and why.
type departures struct {
	// Cases are departures of single cases. One that does not differ any more fails.
	Cases []*departure

	// Tags are departures of all cases with a tag. A tag is one of the corpus, or one that tagsOf finds in the case. A case with it may pass.
	Tags []*departure

	// NotCompared are areas whose subject the runner does not compare; their cases count as "not yet".
	NotCompared []*departure
}

type departure struct {
	Name   string   // of the case, tag or area
	Only   []aspect // what may differ; nothing said: anything
	Reason string
}

func loadDepartures(t *testing.T) *departures {
	t.Helper()
	var d departures
	if err := readJSON("departures.json", &d); err != nil {
		t.Fatal(err)
	}
	for _, one := range slices.Concat(d.Cases, d.Tags, d.NotCompared) {
		if one.Name == "" || one.Reason == "" {
			t.Errorf("departures.json: an entry without name or reason: %+v", *one)
		}
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

func (d *departures) byName(name string) *departure {
	for _, one := range d.Cases {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// stale reports whether a case should have differed. Cases with a tag may do so; the tag of records without a key is exact.
func (d *departures) stale(c *testCase, o *observed) bool {
	return d.byName(c.Name) != nil || *o.built.nullKeys > 0 && c.DroppedRecords != nil
}

// find returns why the differences are allowed: each by one of the departures that the case falls under. It is empty if one is not.
func (d *departures) find(c *testCase, o *observed, found []difference) string {
	var reasons []string
	mine := d.of(c, o, found)
	for _, f := range found {
		i := slices.IndexFunc(mine, func(one *departure) bool { return len(one.Only) == 0 || slices.Contains(one.Only, f.aspect) })
		if i < 0 {
			return ""
		}
		if !slices.Contains(reasons, mine[i].Reason) {
			reasons = append(reasons, mine[i].Reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// of returns the departures that a case falls under.
func (d *departures) of(c *testCase, o *observed, found []difference) (out []*departure) {
	if one := d.byName(c.Name); one != nil {
		out = append(out, one)
	}
	tags := tagsOf(c, o, found)
	for _, one := range d.Tags {
		if slices.Contains(tags, one.Name) {
			out = append(out, one)
		}
	}
	return out
}

// dependsOnRetention is the corpus's tag of cases whose results are what they are because a store hides rows from its operator.
const dependsOnRetention = "depends-on-retention"

// byTwin returns why a case may differ that gives the results of its twin with ample retention. What its stores show at the end is left out: that
// does depend on their retention.
func (d *departures) byTwin(c, twin *testCase, o *observed) string {
	if twin == nil || !slices.Contains(c.Tags, dependsOnRetention) {
		return ""
	}
	expected := *twin
	expected.Stores = nil
	if found := compare(&expected, o); len(found) > 0 && d.find(&expected, o, found) == "" {
		return ""
	}
	for _, one := range d.Tags {
		if one.Name == dependsOnRetention {
			return one.Reason
		}
	}
	return ""
}

// tagsOf returns the tags of a case, and those that its topology and its run earn it.
func tagsOf(c *testCase, o *observed, found []difference) []string {
	tags := slices.DeleteFunc(slices.Clone(c.Tags), func(tag string) bool { return tag == dependsOnRetention })
	for tag, earned := range map[string]bool{
		"null-key-before-repartition":     nullKeysCounted(c, o),
		"headers-changed-beside-siblings": headersChangedBesideSiblings(c),
		"punctuators-due-together":        schedules(c) > 1 && all(found, func(f difference) bool { return f.onlyOrder }),
		"in-memory-window-store":          slices.ContainsFunc(c.Topology, isInMemoryWindowStore),
		"cached-window-store":             cacheBytes(c) > 0 && hasOp(c, "windowedBy"),
		"small-cache":                     cacheBytes(c) > 0 && cacheBytes(c) < smallCache && all(found, func(f difference) bool { return f.onlyMerged }),
	} {
		if earned {
			tags = append(tags, tag)
		}
	}
	return tags
}

func all(found []difference, is func(difference) bool) bool {
	return !slices.ContainsFunc(found, func(f difference) bool { return !is(f) })
}

// nullKeysCounted reports whether the number of dropped records differs by exactly the records without a key in front of repartition topics.
func nullKeysCounted(c *testCase, o *observed) bool {
	return c.DroppedRecords != nil && *o.built.nullKeys > 0 && o.dropped == *c.DroppedRecords+*o.built.nullKeys
}

// headersChangedBesideSiblings reports whether a processor changes the headers of a record that others get after it.
func headersChangedBesideSiblings(c *testCase) bool {
	children := map[string]int{}
	for _, o := range c.Topology {
		for _, parent := range append(o.texts("from"), o.texts("with")...) {
			children[parent]++
		}
	}
	return slices.ContainsFunc(c.Topology, func(o op) bool {
		kind := o.child("processor").text("kind")
		changes := strings.HasPrefix(kind, "header-") || kind == "forward-twice"
		return changes && slices.ContainsFunc(o.texts("from"), func(parent string) bool { return children[parent] > 1 })
	})
}

// schedules counts the schedules of all processors.
func schedules(c *testCase) (n int) {
	for _, o := range c.Topology {
		p := o.child("processor")
		n += len(p.children("schedules"))
		if p.has("interval") {
			n++
		}
	}
	return n
}

func isInMemoryWindowStore(o op) bool {
	return strings.HasSuffix(o.text("type"), "window") && o.flag("inMemory")
}

func hasOp(c *testCase, name string) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool { return o.text("op") == name })
}

// smallCache is a size of Kafka Streams' record cache, in bytes, below which the records of a case may overflow it.
const smallCache = 10000
