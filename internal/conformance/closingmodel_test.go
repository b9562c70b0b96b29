package conformance

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"regexp"
	"slices"

	"github.com/millrace-streams/millrace/internal/jointest"
	"github.com/millrace-streams/millrace/topologytest"
)

// modelOfClosing is a model of the results that are sent when windows are closed: those
// of a case with emit on close, or with a suppress until windows are closed. It takes the
// rows of the aggregation from the changelog.
type modelOfClosing struct {
	c        *testCase
	from, to string // topics
	rows     string // the changelog of the aggregation
	window   op
	suppress bool
	emit     bool      // on close
	keep     predicate // of filters; may be nil
	values   *dynamic  // of the aggregation

	aggregation op

	mapped   mapper // of the results of the suppress; may be nil
	mappedTo string // its serde; "" for that of the aggregation
}

// modelOfClosingOf returns the model of a case; nil if the case does anything else.
func modelOfClosingOf(s *subject) *modelOfClosing {
	m, closes := modelOfWindowsOf(s)
	if !closes {
		return nil
	}
	return m
}

// modelOfWindowsOf returns the model of a case that aggregates windows, and does little
// else; nil for other cases. closes reports whether results are sent when windows are
// closed.
func modelOfWindowsOf(s *subject) (m *modelOfClosing, closes bool) {
	m = &modelOfClosing{c: s.c}
	for _, o := range s.c.Topology {
		switch o.text("op") {
		case "stream":
			if m.from != "" {
				return nil, false
			}
			m.from = o.text("topic")
		case "windowedBy":
			m.window, m.emit = o.child("window"), o.text("emit") == "close"
			closes = m.emit
		case "count", "reduce", "aggregate":
			m.aggregation = o
		case "filter", "filterNot":
			if m.aggregation == nil {
				return nil, false
			}
			keep, not, before := must(predicateOf(o.text("fn"))), o.text("op") == "filterNot", m.keep
			m.keep = func(k, v any) (bool, error) {
				yes, err := keep(k, v)
				return yes != not && (before == nil || must(before(k, v))), err
			}
		case "mapValues":
			if !m.suppress || m.mapped != nil || o.has("materialized") {
				return nil, false
			}
			m.mapped, m.mappedTo = must(valueMapperOf(o.text("fn"))), o.text("value")
		case "suppress":
			m.suppress, closes = true, o.text("until") == "windowClose"
		case "groupByKey", "toStream":
		case "to":
			m.to = o.text("topic")
		default:
			return nil, false
		}
	}
	if m.aggregation == nil || m.window.text("type") == "unlimited" || len(s.o.built.stores) == 0 {
		return nil, false
	}
	rows := s.o.built.stores[0]
	m.rows, m.values = internalTopic(rows.name, "changelog"), rows.values
	return m, closes
}

// delay is how many ms after its end a window is closed.
func (m *modelOfClosing) delay() int64 {
	switch grace := m.window.ms("grace"); m.window.text("type") {
	case "sliding":
		return grace + 1
	case "session":
		return m.window.ms("gap") + grace + 1
	default:
		return grace
	}
}

// moves reports whether a step moves the stream time of the aggregation.
func (m *modelOfClosing) moves(st *step) bool {
	needsValue := m.aggregation.text("op") == "reduce" || m.window.text("type") == "sliding"
	return st.Pipe == m.from && !isNull(st.Key) && !(needsValue && isNull(st.Value))
}

// closingRow is a row that is not closed.
type closingRow struct {
	jointest.Output

	start, end int64
	key        []byte // without the window
}

// row returns the row of a record of the aggregation's changelog.
func (m *modelOfClosing) row(r topologytest.Record) (row closingRow) {
	if m.window.text("type") == "session" {
		n := len(r.Key) - 16
		row.key, row.end, row.start = r.Key[:n], asInt(r.Key[n:]), asInt(r.Key[n+8:])
		row.Output = jointest.Output{Key: r.Key, Value: r.Value, At: row.end}
		return row
	}
	n := len(r.Key) - 12
	row.key, row.start = r.Key[:n], asInt(r.Key[n:])
	row.end = row.start + m.window.ms("size") + m.window.ms("diff")
	row.Output = jointest.Output{Key: r.Key[:n+8], Value: r.Value, At: int64(r.Timestamp)}
	return row
}

func asInt(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

// order is that of the rows that are closed together.
func (m *modelOfClosing) order(a, b closingRow) int {
	byKey := bytes.Compare(a.key, b.key)
	switch {
	case m.suppress:
		return cmp.Or(cmp.Compare(a.end, b.end), bytes.Compare(a.Key, b.Key))
	case m.window.text("type") == "session":
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), byKey)
	}
	return cmp.Or(cmp.Compare(a.start, b.start), byKey)
}

// results returns the results of each step.
func (m *modelOfClosing) results(s *subject) (all [][]jointest.Output) {
	open, sent := map[string]closingRow{}, map[string]bool{}
	until := int64(-1)
	for i := range s.o.steps {
		for _, r := range s.o.steps[i].topics[m.rows] {
			row := m.row(r)
			there := r.Value != nil && (m.keep == nil || must(m.keep(nil, must(m.values.Decode(r.Value)))))
			if delete(open, string(row.Key)); there || sent[string(row.Key)] {
				open[string(row.Key)] = row
			}
		}
		if st := &s.c.Steps[i]; m.moves(st) {
			until = max(until, st.TS-m.delay())
		}
		var due []closingRow
		for key, row := range open {
			if row.end <= until {
				due = append(due, row)
				sent[key] = row.Value != nil
				delete(open, key)
			}
		}
		slices.SortFunc(due, m.order)
		var out []jointest.Output
		for _, row := range due {
			out = append(out, m.result(row.Output))
		}
		all = append(all, out)
	}
	return all
}

// result returns the result of a row that was closed.
func (m *modelOfClosing) result(row jointest.Output) jointest.Output {
	if m.mapped == nil || row.Value == nil {
		return row
	}
	row.Value = must(must(serdeOr(m.mappedTo, m.values)).Append([]byte{}, must(m.mapped(nil, must(m.values.Decode(row.Value))))))
	return row
}

// agrees reports whether the results are those of the model in each step.
func (m *modelOfClosing) agrees(s *subject) bool {
	for i, want := range m.results(s) {
		if !slices.EqualFunc(want, s.o.steps[i].topics[m.to], sameOutput) {
			return false
		}
	}
	return true
}

// resultsOfClosedWindows allows results to come in the step in which their window is
// closed, if they are exactly those of the model.
func resultsOfClosedWindows(s *subject, d difference) bool {
	if d.aspect == inStores && s.lacksClosedRows(d) {
		return true
	}
	m := modelOfClosingOf(s)
	if m == nil || m.window.text("type") == "session" && !m.suppress || !m.agrees(s) {
		return false
	}
	switch d.aspect {
	case inInternal:
		return m.suppress && d.topic != m.rows
	case inStores:
		return m.emit && isSubset(d.gotRows, d.wantRows)
	}
	return true
}

// endInRow is the end of the window in the text of a row.
var endInRow = regexp.MustCompile(`\[\d+-(\d+)[@=]`)

// lacksClosedRows reports whether a store lacks only rows of windows that the largest
// timestamp of the case closes, behind an emit on close.
func (s *subject) lacksClosedRows(d difference) bool {
	i := slices.IndexFunc(s.c.Topology, func(o op) bool { return o.text("emit") == "close" })
	if i < 0 || !isSubset(d.gotRows, d.wantRows) {
		return false
	}
	until := int64(-1)
	for _, st := range s.c.Steps {
		until = max(until, st.TS)
	}
	until -= (&modelOfClosing{window: s.c.Topology[i].child("window")}).delay()
	return !slices.ContainsFunc(d.wantRows, func(row string) bool {
		end := endInRow.FindStringSubmatch(row)
		return !slices.Contains(d.gotRows, row) && (end == nil || parse(end[1]) > until)
	})
}

// finalSessions allows sessions that were sent to stay as they are, if results, changelog
// and sessions are exactly those of the model.
func finalSessions(s *subject, d difference) bool {
	m := modelOfClosingOf(s)
	return m != nil && m.window.text("type") == "session" && !m.suppress && m.agrees(s) && newSessionModel(m).agrees(s)
}
