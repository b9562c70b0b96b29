package txn

import "testing"

// A wide topic must earn trust like any other. Records that it accepts do not make other
// topics trusted.
func TestCautionOfAWideTopic(t *testing.T) {
	t.Parallel()
	var c Caution
	c.Widen("wide")
	c.Distrust()
	take := func(topic string) {
		for n := 0; n < trustAfter; n += mostGroup {
			if !c.of(topic) {
				t.Fatalf("%s is trusted after %d records", topic, n)
			}
			c.sifted(map[string]int{topic: mostGroup}, nil)
		}
		c.committed()
	}
	take("wide")
	c.Distrust()
	if c.of("wide"); !c.of("other") {
		t.Error("a topic is trusted before it has taken a record")
	}
	take("other")
	if !c.of("wide") || c.of("other") {
		t.Error("a topic that has earned it is not trusted, or one that gets large records is")
	}
}
