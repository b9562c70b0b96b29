package conformance

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/millrace-streams/millrace/internal/jointest"
	"github.com/millrace-streams/millrace/topologytest"
)

// sessionModel is a model of an aggregation of sessions. A session that was closed is not
// merged into another one.
type sessionModel struct {
	*modelOfClosing

	add     aggregator
	merge   reducer
	initial func() any
	gap     int64
	time    int64
	open    []modelSession
	log     []jointest.Output
}

type modelSession struct {
	key        string
	start, end int64
	value      any
}

func newSessionModel(m *modelOfClosing) *sessionModel {
	model := &sessionModel{modelOfClosing: m, gap: m.window.ms("gap"), time: -1}
	switch o := m.aggregation; o.text("op") {
	case "count":
		model.initial, model.add, model.merge = func() any { return int64(0) }, must(aggregatorOf("count")), sum
	case "reduce":
		f := must(reducerOf(o.text("fn")))
		model.initial, model.merge = func() any { return nil }, f
		model.add = func(_, v, agg any) (any, error) {
			if agg == nil {
				return v, nil
			}
			return f(agg, v)
		}
	default:
		model.initial, model.add = must(initializerOf(o.text("init"))), must(aggregatorOf(o.text("fn")))
		model.merge = must(reducerOf(o.text("merger")))
	}
	return model
}

// step adds the record of a step.
func (m *sessionModel) step(st *step) {
	m.log = nil
	if !m.moves(st) {
		return
	}
	serdes := must(serdesOf(m.c, st.Pipe))
	key := string(must(serdes.key.encodeJSON(st.Key)))
	m.time = max(m.time, st.TS)
	closed := m.time - m.delay() + 1
	merged := modelSession{key: key, start: st.TS, end: st.TS}
	var found, others []modelSession
	for _, s := range m.open {
		if s.key == key && s.end >= st.TS-m.gap && s.start <= st.TS+m.gap {
			found = append(found, s)
			merged.start, merged.end = min(merged.start, s.start), max(merged.end, s.end)
		} else {
			others = append(others, s)
		}
	}
	if merged.end >= closed {
		slices.SortFunc(found, func(a, b modelSession) int { return cmp.Compare(a.end, b.end) })
		m.fold(&merged, found, st)
		if m.open = others; merged.value != nil {
			m.open = append(m.open, merged)
		}
	}
	m.open = slices.DeleteFunc(m.open, func(s modelSession) bool { return s.end < closed })
}

// fold makes the value of a session, and writes the changelog.
func (m *sessionModel) fold(merged *modelSession, found []modelSession, st *step) {
	value, same := m.initial(), false
	for i, s := range found {
		if value = s.value; i > 0 {
			value = must(m.merge(found[0].value, s.value))
		}
		found[0].value = value
		if s.start != merged.start || s.end != merged.end || s.start != s.end {
			m.log = append(m.log, m.logged(s, nil, st))
		} else {
			same = true
		}
	}
	serdes := must(serdesOf(m.c, st.Pipe))
	var v any
	if data := must(serdes.value.encodeJSON(st.Value)); data != nil {
		v = must(serdes.value.Decode(data))
	}
	merged.value = must(m.add(nil, v, value))
	if merged.value != nil || same {
		m.log = append(m.log, m.logged(*merged, merged.value, st))
	}
}

func (m *sessionModel) logged(s modelSession, value any, st *step) jointest.Output {
	key := binary.BigEndian.AppendUint64([]byte(s.key), uint64(s.end))
	out := jointest.Output{Key: binary.BigEndian.AppendUint64(key, uint64(s.start)), At: st.TS}
	if value != nil {
		out.Value = must(m.values.Append([]byte{}, value))
	}
	return out
}

// agrees reports whether the changelog is that of the model.
func (m *sessionModel) agrees(s *subject) bool {
	for i := range s.o.steps {
		m.step(&s.c.Steps[i])
		if !slices.EqualFunc(m.log, s.o.steps[i].topics[m.rows], sameOutput) {
			return false
		}
	}
	return true
}

// mergedInitials allows other aggregates of sessions whose initial aggregate is not
// neutral: if it is merged with an aggregate, the result is another one. Changelog and
// results must be exactly those of the model, which merges sessions only.
func mergedInitials(s *subject, d difference) bool {
	m, closes := modelOfWindowsOf(s)
	if m == nil || closes || m.keep != nil || m.window.text("type") != "session" || m.aggregation.text("op") != "aggregate" {
		return false
	}
	model := newSessionModel(m)
	initial := model.initial()
	if v := must(initializedBy(m.values)); javaText(must(model.merge(initial, v))) == javaText(v) || !model.agrees(s) {
		return false
	}
	return d.topic == "" || d.topic == m.rows || slices.EqualFunc(s.o.steps[d.step-1].topics[m.rows], d.got, func(a, b topologytest.Record) bool {
		return equalBytes(a.Key, b.Key) && equalBytes(a.Value, b.Value)
	})
}

// initializedBy returns any aggregate of a serde.
func initializedBy(values *dynamic) (any, error) {
	if values.name == "long" {
		return int64(7), nil
	}
	return values.json([]byte(`"x"`))
}
