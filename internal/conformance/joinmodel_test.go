package conformance

import (
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
			join, err := joinerOf(o.text("joiner"))
			if err != nil || !textsOnly(c) {
				return nil
			}
			m.Joiner = func(left, right []byte) []byte {
				value := must(join(textOrNull(left), textOrNull(right)))
				if value == nil {
					return nil
				}
				return []byte(value.(string))
			}
		}
	}
	if joins != 1 || m.left == m.right || m.Kind == jointest.Inner {
		return nil
	}
	return m
}

// textsOnly reports whether all values of the case's topics are texts.
func textsOnly(c *testCase) bool {
	for _, topic := range c.Topics {
		if topic.Value != "string" {
			return false
		}
	}
	return true
}

// textOrNull returns a text, or nil for null.
func textOrNull(data []byte) any {
	if data == nil {
		return nil
	}
	return string(data)
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
func (m *modelOfJoin) step(st *step) { m.Add(m.record(st)) }

func (m *modelOfJoin) record(st *step) jointest.Record {
	serdes := must(serdesOf(m.c, st.Pipe))
	return jointest.Record{
		Right: st.Pipe == m.right, Key: must(serdes.key.encodeJSON(st.Key)), Value: must(serdes.value.encodeJSON(st.Value)), At: st.TS,
	}
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
	var records []jointest.Record // so far
	for _, st := range s.c.Steps[:d.step] {
		if st.Pipe != "" {
			m.step(&st)
			records = append(records, m.record(&st))
		}
	}
	return slices.EqualFunc(m.Out, d.got, sameOutput) &&
		slices.EqualFunc(m.withPartner(d.want, records), m.withPartner(wantedOf(m.Out), records), sameWanted)
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

// withPartner leaves out the results that a record without a partner has.
func (m *modelOfJoin) withPartner(results []wanted, records []jointest.Record) []wanted {
	return slices.DeleteFunc(slices.Clone(results), func(w wanted) bool {
		return slices.ContainsFunc(records, func(r jointest.Record) bool {
			return sameWanted(w, wanted{key: r.Key, value: m.Alone(r), at: &r.At})
		})
	})
}

func sameWanted(a, b wanted) bool {
	return equalBytes(a.key, b.key) && equalBytes(a.value, b.value) && *a.at == *b.at
}
