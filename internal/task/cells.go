package task

import (
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// cells are the named numbers of a task that are committed with its offsets. Operator
// times have their bare names, as in Kafka Streams. The rest have names that no node can
// have.
type cells struct {
	times     map[string]*processor.Timestamp
	positions map[string]*graph.Position

	committed map[string]int64 // as of the last Begin
	sequence  int64            // number of the last commit that changed them
}

const (
	storePrefix    = "#store/"
	keptPrefix     = "#kept/"
	positionPrefix = "#position/"

	// sequenceName shows which of several partitions' metadata is the newest. A commit
	// writes only the metadata of partitions that moved.
	sequenceName = "#commit"

	// elsewhereName says that the values did not fit, and are in their own store (see
	// times.go).
	elsewhereName = "#elsewhere"
)

func newCells(restored map[string]int64) *cells {
	c := &cells{
		times:     map[string]*processor.Timestamp{},
		positions: map[string]*graph.Position{},
		committed: map[string]int64{},
	}
	for name, v := range restored {
		if name == sequenceName {
			c.sequence = v
			continue
		}
		c.committed[name] = v
		if local, ok := strings.CutPrefix(name, positionPrefix); ok {
			c.positions[local] = &graph.Position{Value: v, Set: true}
			continue
		}
		*c.time(name) = processor.Timestamp(v)
	}
	return c
}

func (c *cells) time(name string) *processor.Timestamp {
	cell := c.times[name]
	if cell == nil {
		cell = new(processor.Timestamp)
		*cell = -1
		c.times[name] = cell
	}
	return cell
}

// storeTime returns the cell of a store's own stream time.
func (c *cells) storeTime(store string) *int64 {
	return (*int64)(c.time(storePrefix + store))
}

// keptTime returns the cell of the smallest time that a row of a store can have.
func (c *cells) keptTime(store string) *int64 {
	return (*int64)(c.time(keptPrefix + store))
}

func (c *cells) position(name string) *graph.Position {
	cell := c.positions[name]
	if cell == nil {
		cell = new(graph.Position)
		c.positions[name] = cell
	}
	return cell
}

// commit returns the values to commit, with the sequence number. changed says whether one
// has changed since the last call.
func (c *cells) commit() (values map[string]int64, changed bool) {
	values = c.values()
	if changed = c.differs(values); changed {
		c.sequence++
		c.committed = values
	}
	if len(values) == 0 {
		return nil, changed
	}
	out := make(map[string]int64, len(values)+1)
	for name, v := range values {
		out[name] = v
	}
	out[sequenceName] = c.sequence
	return out, changed
}

func (c *cells) values() map[string]int64 {
	values := make(map[string]int64, len(c.times)+len(c.positions))
	for name, t := range c.times {
		if *t != -1 {
			values[name] = int64(*t)
		}
	}
	for name, p := range c.positions {
		if p.Set {
			values[positionPrefix+name] = p.Value
		}
	}
	return values
}

func (c *cells) differs(values map[string]int64) bool {
	if len(values) != len(c.committed) {
		return true
	}
	for name, v := range values {
		if old, ok := c.committed[name]; !ok || old != v {
			return true
		}
	}
	return false
}

// newest merges the values of several partitions' metadata. Values with a higher sequence
// number replace those with a lower one. If the numbers are equal, the larger value wins.
// Kafka Streams writes no number, so its values are all equal in this sense.
func newest(all []map[string]int64) map[string]int64 {
	var best map[string]int64
	for _, values := range all {
		switch {
		case len(values) == 0:
		case best == nil || values[sequenceName] > best[sequenceName]:
			best = clone(values)
		case values[sequenceName] == best[sequenceName]:
			for name, v := range values {
				if old, ok := best[name]; !ok || v > old {
					best[name] = v
				}
			}
		}
	}
	return best
}

func clone(values map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(values))
	for name, v := range values {
		out[name] = v
	}
	return out
}
