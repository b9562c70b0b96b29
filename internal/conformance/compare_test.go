package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/topologytest"
)

// aspect is the part of a case in which it differs. departures.json allows differences by
// aspect.
type aspect string

const (
	inBuild    aspect = "build"    // whether Build refuses the topology
	inOut      aspect = "out"      // records on the user's topics
	inInternal aspect = "internal" // records on changelogs and repartition topics
	inHeaders  aspect = "headers"  // headers of otherwise equal records
	inError    aspect = "error"    // whether a step fails
	inStores   aspect = "stores"   // content of stores at the end
	inDropped  aspect = "dropped"  // number of dropped records
	inDescribe aspect = "describe" // the text of Describe
)

type difference struct {
	aspect aspect
	step   int // 0: at the end
	text   string

	topic string // of records in a step, or of a digest
	store string // in Millrace
	want  []wanted
	got   []topologytest.Record

	wantRows, gotRows []string // of a store

	liberty  string   // in a description
	missing  []string // names in a description
	sameEnds bool     // two descriptions have the same topics and stores
}

// comparison collects differences.
type comparison struct {
	c     *testCase
	o     *observed
	found []difference
	step  int
}

func (c *comparison) differs(a aspect, format string, args ...any) *difference {
	text := fmt.Sprintf(format, args...)
	if c.step > 0 {
		text = fmt.Sprintf("step %d (%s): %s", c.step, describeStep(&c.c.Steps[c.step-1]), text)
	}
	c.found = append(c.found, difference{aspect: a, step: c.step, text: text})
	return &c.found[len(c.found)-1]
}

func describeStep(s *step) string {
	if s.AdvanceWallClock != nil {
		return fmt.Sprintf("advance %d", *s.AdvanceWallClock)
	}
	return fmt.Sprintf("%s %s=%s@%d", s.Pipe, s.Key, s.Value, s.TS)
}

// compare compares the results of a case with the captured ones. expected is the case
// itself, or its twin. For a twin, stores are left out: their rows depend on the
// retention, in which the twins differ.
func compare(expected *testCase, o *observed) []difference {
	c := &comparison{c: expected, o: o}
	if done := c.build(); done {
		return c.found
	}
	c.describe()
	for i := range expected.Steps {
		if i >= len(o.steps) {
			break
		}
		c.step = i + 1
		c.compareStep(&expected.Steps[i], &o.steps[i])
	}
	c.step = 0
	c.digests()
	if !expected.Stopped {
		c.stores()
		c.dropped()
	}
	return c.found
}

func (c *comparison) build() (done bool) {
	refused := len(c.c.BuildError) > 0
	switch {
	case refused && c.o.buildErr == nil:
		c.differs(inBuild, "Build accepts what Kafka Streams refuses: %s", c.c.BuildError["message"])
	case !refused && c.o.buildErr != nil:
		c.differs(inBuild, "Build refuses: %v", c.o.buildErr)
	}
	return refused || c.o.buildErr != nil
}

func (c *comparison) compareStep(want *step, got *observedStep) {
	if failed := len(want.Error) > 0; failed != (got.err != nil) {
		c.differs(inError, "error %v, want one: %v %s", got.err, failed, want.Error["message"])
		return // the remaining differences would follow from this one
	}
	seen := map[string]bool{}
	for _, topic := range slices.Sorted(maps.Keys(want.Out)) {
		seen[topic] = true
		c.records(inOut, topic, c.wantOut(topic, want.Out[topic]), got.topics[topic])
	}
	digested := len(c.c.InternalDigest) > 0 // internal records are only hashed
	for _, name := range slices.Sorted(maps.Keys(want.Internal)) {
		topic := c.o.built.names.here(name)
		seen[topic] = true
		c.records(inInternal, topic, c.wantInternal(want.Internal[name]), got.topics[topic])
	}
	for _, topic := range slices.Sorted(maps.Keys(got.topics)) {
		if !seen[topic] && !(digested && c.aspectOf(topic) == inInternal) {
			c.records(c.aspectOf(topic), topic, nil, got.topics[topic])
		}
	}
}

// aspectOf distinguishes internal topics from others.
func (c *comparison) aspectOf(topic string) aspect {
	if strings.HasPrefix(topic, applicationID+"-") {
		return inInternal
	}
	return inOut
}
