package conformance

import (
	"bytes"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/jointest"
	"github.com/millrace-streams/millrace/topologytest"
)

// modelOfJoin is the model of the join of a case. Kafka Streams sends the results of
// records without a partner too early or too late. The rules compare such results with
// the model.
type modelOfJoin struct {
	jointest.Join
	c           *testCase
	left, right string // topics
}

// modelOf returns the model of a case that joins two topics, and does nothing else; nil
// for other cases.
func modelOf(c *testCase) *modelOfJoin {
	if !joinsOnly(c) {
		return nil
	}
	m := &modelOfJoin{c: c}
	topics := map[string]string{}
	joins := 0
	for _, o := range c.Topology {
		switch o.text("op") {
		case "stream":
			topics[o.id()] = o.text("topic")
		case "join":
			joins++
			w := o.child("window")
			m.left, m.right = topics[o.text("from")], topics[o.text("with")]
			m.Kind = map[string]jointest.Kind{"left": jointest.Left, "outer": jointest.Outer}[o.text("type")]
			m.Before, m.After, m.Grace = bounds(w)
			if o.has("joiner") {
				return nil
			}
		}
	}
	if joins != 1 || m.left == m.right || m.Kind == jointest.Inner {
		return nil
	}
	return m
}

// bounds returns the times of the parameter window of a join.
func bounds(w op) (before, after, grace int64) {
	before, after = w.ms("diff"), w.ms("diff")
	if w.has("before") {
		before = w.ms("before")
	}
	if w.has("after") {
		after = w.ms("after")
	}
	return before, after, w.ms("grace")
}

// step joins the record of a step.
func (m *modelOfJoin) step(st *step) {
	serdes := must(serdesOf(m.c, st.Pipe))
	m.Add(jointest.Record{
		Right: st.Pipe == m.right, Key: must(serdes.key.encodeJSON(st.Key)), Value: must(serdes.value.encodeJSON(st.Value)), At: st.TS,
	})
}

// resultsInTime allows other results of records without a partner, if they are exactly
// those of the model.
func resultsInTime(s *subject, d difference) bool {
	m := modelOf(s.c)
	switch {
	case m == nil:
		return false
	case d.aspect == inOut:
		return m.explains(s, d)
	}
	waiting := strings.HasSuffix(d.topic, "-unmatched-changelog") || strings.HasSuffix(d.store, "-unmatched")
	return waiting && m.agrees(s)
}

// explains reports whether the records of a step are those of the model, and differ from
// the wanted ones in results without a partner only.
func (m *modelOfJoin) explains(s *subject, d difference) bool {
	for i := range d.step {
		if s.c.Steps[i].Pipe != "" {
			m.step(&s.c.Steps[i])
		}
	}
	return slices.EqualFunc(m.Out, d.got, sameOutput) && slices.EqualFunc(withPartner(d.want), withPartner(wantedOf(m.Out)), sameWanted)
}

// agrees reports whether all that the join has sent and logged is what the model says.
func (m *modelOfJoin) agrees(s *subject) bool {
	for i := range s.o.steps {
		m.Out, m.Log = nil, nil
		if s.c.Steps[i].Pipe != "" {
			m.step(&s.c.Steps[i])
		}
		for topic, got := range s.o.steps[i].topics {
			want := m.Out
			switch {
			case strings.HasSuffix(topic, "-unmatched-changelog"):
				want = m.Log
			case s.c.Topics[topic].Role != "sink":
				continue
			}
			if !slices.EqualFunc(want, got, sameOutput) {
				return false
			}
		}
	}
	return true
}

func sameOutput(o jointest.Output, got topologytest.Record) bool {
	return equalBytes(o.Key, got.Key) && equalBytes(o.Value, got.Value) && o.At == int64(got.Timestamp)
}

func wantedOf(outputs []jointest.Output) (out []wanted) {
	for _, o := range outputs {
		out = append(out, wanted{key: o.Key, value: o.Value, at: &o.At})
	}
	return out
}

func withPartner(records []wanted) []wanted {
	return slices.DeleteFunc(slices.Clone(records), func(w wanted) bool {
		return bytes.HasSuffix(w.value, []byte("+null")) || bytes.HasPrefix(w.value, []byte("null+"))
	})
}

func sameWanted(a, b wanted) bool {
	return equalBytes(a.key, b.key) && equalBytes(a.value, b.value) && *a.at == *b.at
}
