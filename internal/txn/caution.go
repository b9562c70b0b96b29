package txn

// Caution is what a worker has learnt about the topics that it writes. It outlives the
// worker's producers. One goroutine uses it. The zero value trusts every topic.
//
// A Producer holds back the records of a topic, and sends them in groups that it waits
// for (see Producer.Settle), if
//
//   - the topic is distrusted: a record of the worker was refused recently, or
//   - the topic is wide: it gets records that, before compression, are larger than its
//     batches may be.
//
// The first refusal makes all topics distrusted, not only the one that refused. The
// reason is that a bad input record often spoils several outputs, and each of them would
// cost its own abort.
type Caution struct {
	refused bool // topics that are not in left are distrusted
	// number of records that a topic must still accept before it is trusted; -1: it is
	// trusted
	left  map[string]int
	wide  map[string]bool // see Widen
	group int             // number of records of the next group
}

const (
	// trustAfter is the number of records that a topic must accept in a row before it is
	// trusted again. Another refusal then costs another abort.
	trustAfter = 1 << 16

	trusted = -1

	firstGroup, mostGroup = 256, 4096
)

// Distrust makes all topics distrusted. The caller has aborted the transaction in which a
// record was refused.
func (c *Caution) Distrust() {
	c.refused = true
	c.left = make(map[string]int)
	c.group = firstGroup
}

// Widen marks a topic as wide: it accepts a record that, before compression, is larger
// than its batches may be. Producers that are made from now on let such records through.
func (c *Caution) Widen(topic string) {
	if c.wide == nil {
		c.wide = make(map[string]bool)
	}
	c.wide[topic] = true
}

// Any reports whether a topic is distrusted or wide.
func (c *Caution) Any() bool { return c.refused || len(c.wide) > 0 }

// of reports whether the records of a topic are held back.
func (c *Caution) of(topic string) bool {
	// called in any case, so that left has the topic
	distrusted := c.refused && c.distrusts(topic)
	return distrusted || c.wide[topic]
}

func (c *Caution) distrusts(topic string) bool {
	left, known := c.left[topic]
	if !known {
		left = trustAfter
		c.left[topic] = left
	}
	return left != trusted
}

// sifted reports the result of a group: the number of records by topic, and the topics
// that refused one.
func (c *Caution) sifted(records map[string]int, refused map[string]bool) {
	for topic, n := range records {
		switch {
		case !c.refused || c.left[topic] == trusted:
		case refused[topic]:
			c.left[topic] = trustAfter
		default:
			c.left[topic] = max(c.left[topic]-n, 0)
		}
	}
	if len(refused) > 0 {
		c.group = max(c.size()/2, 1)
	} else {
		c.group = min(c.size()*2, mostGroup)
	}
}

func (c *Caution) size() int {
	if c.group == 0 {
		return firstGroup
	}
	return c.group
}

// committed trusts the topics that have accepted enough records. A topic becomes trusted
// only between two transactions: within one, the sieve handles its refusals, or they end
// the transaction.
func (c *Caution) committed() {
	if !c.refused || len(c.left) == 0 {
		return
	}
	all := true
	for topic, left := range c.left {
		if left == 0 {
			c.left[topic] = trusted
		}
		all = all && c.left[topic] == trusted
	}
	if all {
		c.refused = false
		clear(c.left)
	}
}
