package conformance

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/topologytest"
)

// change is an update in the repartition topic of a grouped table: a value that is taken
// away from a group, and one that is added. An absent one is nil.
type change struct {
	key, old, added []byte
	at              int64
}

func changeOf(key, value []byte, at int64) change {
	c := change{key: key, at: at}
	rest, kind := value[:len(value)-1], value[len(value)-1]
	switch kind {
	case 0:
		c.old = rest
	case 1:
		c.added = rest
	case 2:
		n, size := binary.Varint(rest)
		c.added, c.old = rest[size:size+int(n)], rest[size+int(n):]
	}
	return c
}

// subtractions allows other values to be taken away from the groups of a table, if Kafka
// Streams takes away values that were not added before, or if sessions are grouped. Both
// must add the same values in the same steps. Millrace must take away what it has added,
// and its results must be exactly those of the changes.
func subtractions(s *subject, d difference) bool {
	m := modelOfChangesOf(s)
	if m == nil || d.step == 0 && d.aspect != inStores {
		return false
	}
	theirsMayBeWrong := hasSessions(s.c) || !m.consistent(m.captured)
	return theirsMayBeWrong && m.sameAdditions() && m.consistent(m.ours) && m.agrees()
}

// modelOfChanges is a model of the aggregation of a grouped table.
type modelOfChanges struct {
	s             *subject
	topic, to     string // the repartition topic, and that of the results
	theirs        string // the repartition topic in Kafka Streams
	values        *dynamic
	results       *dynamic
	initial       func() any
	add, subtract aggregator
}

// modelOfChangesOf returns the model of a case that groups one table, aggregates the
// groups and sends the results; nil for others.
func modelOfChangesOf(s *subject) *modelOfChanges {
	if s.o.built.grouped == nil {
		return nil
	}
	m := &modelOfChanges{s: s}
	var group op
	for i, o := range s.c.Topology {
		switch {
		case o.text("op") == "to" && m.to == "":
			m.to = o.text("topic")
		case o.text("op") == "to":
			return nil
		case o.text("op") == "groupBy":
			group = s.c.Topology[i]
		case group != nil && o.text("from") == group.id() && !m.read(o):
			return nil
		}
	}
	for name := range s.o.topics {
		if strings.HasSuffix(name, "-repartition") {
			if m.topic != "" {
				return nil
			}
			m.topic = name
		}
	}
	for _, name := range s.c.InternalTopics {
		if s.o.built.names.here(name) == m.topic {
			m.theirs = name
		}
	}
	if group == nil || m.add == nil || m.subtract == nil || m.theirs == "" || m.to == "" {
		return nil
	}
	m.values = s.o.built.grouped
	m.results = must(serdesOf(s.c, m.to)).value
	return m
}

// read reads the aggregation.
func (m *modelOfChanges) read(o op) bool {
	switch o.text("op") {
	case "count":
		m.initial = func() any { return int64(0) }
		m.add, m.subtract = must(aggregatorOf("count")), must(aggregatorOf("uncount"))
	case "aggregate":
		if !o.has("sub") {
			return false
		}
		m.initial = must(initializerOf(o.text("init")))
		m.add, m.subtract = must(aggregatorOf(o.text("fn"))), must(aggregatorOf(o.text("sub")))
	default:
		return false
	}
	return true
}

func (m *modelOfChanges) ours(i int) (out []change) {
	for _, r := range m.s.o.steps[i].topics[m.topic] {
		out = append(out, changeOf(r.Key, r.Value, int64(r.Timestamp)))
	}
	return out
}

func (m *modelOfChanges) captured(i int) (out []change) {
	for _, r := range m.s.c.Steps[i].Internal[m.theirs] {
		out = append(out, changeOf(unhex(r.Key), unhex(r.Value), *r.TS))
	}
	return out
}

func (m *modelOfChanges) sameAdditions() bool {
	adds := func(list []change) (out [][]byte) {
		for _, c := range list {
			if c.added != nil {
				out = append(out, c.key, c.added)
			}
		}
		return out
	}
	for i := range m.s.o.steps {
		if !slices.EqualFunc(adds(m.ours(i)), adds(m.captured(i)), bytes.Equal) {
			return false
		}
	}
	return true
}

// consistent reports whether each value that is taken away was added before.
func (m *modelOfChanges) consistent(changes func(i int) []change) bool {
	left := map[string]int{}
	for i := range m.s.o.steps {
		for _, c := range changes(i) {
			name := func(value []byte) string { return string(c.key) + "\x00" + string(value) }
			if c.old != nil {
				if left[name(c.old)]--; left[name(c.old)] < 0 {
					return false
				}
			}
			if c.added != nil {
				left[name(c.added)]++
			}
		}
	}
	return true
}

// agrees reports whether the results are those of the changes.
func (m *modelOfChanges) agrees() bool {
	type group struct {
		value any
		at    int64
	}
	groups := map[string]*group{}
	for i := range m.s.o.steps {
		got := m.s.o.steps[i].topics[m.to]
		for _, c := range m.ours(i) {
			g := groups[string(c.key)]
			if g == nil {
				if c.added == nil {
					continue
				}
				g = &group{at: c.at}
				groups[string(c.key)] = g
			}
			g.at = max(g.at, c.at)
			if c.old != nil && g.value != nil {
				g.value = must(m.subtract(nil, must(m.values.Decode(c.old)), g.value))
			}
			if c.added != nil {
				if g.value == nil {
					g.value = m.initial()
				}
				g.value = must(m.add(nil, must(m.values.Decode(c.added)), g.value))
			}
			want := topologytest.Record{Key: c.key}
			if g.value != nil {
				want.Value = must(m.results.Append([]byte{}, g.value))
			} else {
				delete(groups, string(c.key))
			}
			if len(got) == 0 || !equalBytes(got[0].Key, want.Key) || !equalBytes(got[0].Value, want.Value) || int64(got[0].Timestamp) != g.at {
				return false
			}
			got = got[1:]
		}
		if len(got) > 0 {
			return false
		}
	}
	return true
}
