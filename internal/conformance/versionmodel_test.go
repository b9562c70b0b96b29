package conformance

import (
	"bytes"
	"slices"

	"github.com/millrace-streams/millrace/internal/jointest"
)

// modelOfVersionedGroups is a model of a case that groups a table with versions,
// aggregates the groups, and does nothing else. Only the newest rows are in the groups.
type modelOfVersionedGroups struct {
	c             *testCase
	from          string // topic
	group         pairs
	initial       func() any
	add, subtract aggregator

	newest map[string]versionedRow // by key
	groups map[string]*groupRow    // by encoded key
	out    []jointest.Output       // of the current step
}

type versionedRow struct {
	at    int64
	value any // nil: deleted
}

type groupRow struct {
	at    int64
	value any
}

// modelOfVersionedGroupsOf returns the model of a case, and the topic of its results; nil
// for other cases.
func modelOfVersionedGroupsOf(c *testCase) (m *modelOfVersionedGroups, to string) {
	m = &modelOfVersionedGroups{c: c, newest: map[string]versionedRow{}, groups: map[string]*groupRow{}}
	for _, o := range c.Topology {
		switch o.text("op") {
		case "table":
			if !o.child("materialized").has("versioned") {
				return nil, ""
			}
			m.from = o.text("topic")
		case "groupBy":
			m.group = must(pairMapperOf(o.text("fn")))
		case "aggregate":
			m.initial = must(initializerOf(o.text("init")))
			m.add, m.subtract = must(aggregatorOf(o.text("fn"))), must(aggregatorOf(o.text("sub")))
		case "toStream":
		case "to":
			to = o.text("topic")
		default:
			return nil, ""
		}
	}
	if m.from == "" || m.group == nil || m.add == nil || to == "" {
		return nil, ""
	}
	return m, to
}

// step changes the groups by the record of a step, and adds what is sent to out.
func (m *modelOfVersionedGroups) step(st *step, to topicSerdes) {
	serdes := must(serdesOf(m.c, m.from))
	data := must(serdes.key.encodeJSON(st.Key))
	last, known := m.newest[string(data)]
	if known && st.TS < last.at {
		return
	}
	row := versionedRow{at: st.TS}
	if !isNull(st.Value) {
		row.value = must(serdes.value.Decode(must(serdes.value.encodeJSON(st.Value))))
	}
	m.newest[string(data)] = row
	key := must(serdes.key.Decode(data))
	old, now := m.grouped(key, last.value), m.grouped(key, row.value)
	if old != nil && now != nil && bytes.Equal(must(to.key.Append(nil, old.k)), must(to.key.Append(nil, now.k))) {
		m.change(old.k, old, now, st.TS, to)
		return
	}
	if old != nil {
		m.change(old.k, old, nil, st.TS, to)
	}
	if now != nil {
		m.change(now.k, nil, now, st.TS, to)
	}
}

// grouped returns the group of a row with its value there, or nil without a row.
func (m *modelOfVersionedGroups) grouped(key, value any) *pair {
	if value == nil {
		return nil
	}
	return &must(m.group(key, value))[0]
}

// change takes an old value away from a group, and adds a new one.
func (m *modelOfVersionedGroups) change(key any, old, now *pair, at int64, to topicSerdes) {
	data := must(to.key.Append(nil, key))
	g := m.groups[string(data)]
	if g == nil {
		g = &groupRow{at: at, value: m.initial()}
		m.groups[string(data)] = g
	}
	g.at = max(g.at, at)
	if old != nil {
		g.value = must(m.subtract(key, old.v, g.value))
	}
	if now != nil {
		g.value = must(m.add(key, now.v, g.value))
	}
	m.out = append(m.out, jointest.Output{Key: data, Value: must(to.value.Append(nil, g.value)), At: g.at})
}

// agrees reports whether all steps have sent what the model says.
func (m *modelOfVersionedGroups) agrees(o *observed, to string) bool {
	serdes := must(serdesOf(m.c, to))
	for i := range o.steps {
		m.out = nil
		if st := &m.c.Steps[i]; st.Pipe == m.from && !isNull(st.Key) {
			m.step(st, serdes)
		}
		if !slices.EqualFunc(m.out, o.steps[i].topics[to], sameOutput) {
			return false
		}
	}
	return true
}
