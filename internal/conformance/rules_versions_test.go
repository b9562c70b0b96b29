package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topologytest"
)

// newestVersionLast allows the changelog of a versioned store to have the newest version
// of a key once more behind an earlier one, and to lack versions that were refused.
func newestVersionLast(s *subject, d difference) bool {
	history, ok := s.historyOf(d.topic)
	if !ok {
		return false
	}
	var theirs []topologytest.Record
	if want, digested := s.digestOf(d.topic); digested {
		theirs = s.versionsPiped(d.topic)
		if digestOf(theirs) != want {
			return false
		}
	} else {
		theirs = s.versionsLogged(d.topic)
	}
	return slices.EqualFunc(s.o.topics[d.topic], newestLast(theirs, history), func(a, b topologytest.Record) bool {
		return equalBytes(a.Key, b.Key) && equalBytes(a.Value, b.Value) && a.Timestamp == b.Timestamp
	})
}

// newestLast returns the changelog of Millrace for that of Kafka Streams, which has every
// put of a store with a history.
func newestLast(puts []topologytest.Record, history int64) (out []topologytest.Record) {
	newest := map[string]topologytest.Record{}
	time := processor.Timestamp(-1)
	for _, put := range puts {
		time = max(time, put.Timestamp)
		last, known := newest[string(put.Key)]
		switch {
		case int64(put.Timestamp) < int64(time)-history:
		case known && put.Timestamp < last.Timestamp:
			out = append(out, put, last)
		default:
			newest[string(put.Key)] = put
			out = append(out, put)
		}
	}
	return out
}

// historyOf returns the history of the versioned store with a changelog.
func (s *subject) historyOf(topic string) (history int64, ok bool) {
	o, ok := s.versionedStore(topic)
	if m := o.child("materialized"); ok && m.has("versioned") {
		return m.ms("versioned"), true
	}
	return o.ms("retention"), ok
}

// versionedStore returns the operation that makes the versioned store with a changelog.
func (s *subject) versionedStore(topic string) (op, bool) {
	for _, o := range s.c.Topology {
		m := o.child("materialized")
		if o.text("type") == "versioned" && internalTopic(o.text("name"), "changelog") == topic ||
			m.has("versioned") && internalTopic(m.text("name"), "changelog") == topic {
			return o, true
		}
	}
	return nil, false
}

// digestOf returns the digest of a topic, if the case has digests.
func (s *subject) digestOf(topic string) (digest, bool) {
	for name, want := range s.c.InternalDigest {
		if s.o.built.names.here(name) == topic {
			return want, true
		}
	}
	return digest{}, false
}

// versionsPiped returns the puts of the table with a changelog: the records of its topic.
func (s *subject) versionsPiped(topic string) (puts []topologytest.Record) {
	o, _ := s.versionedStore(topic)
	for _, st := range s.c.Steps {
		if st.Pipe != o.text("topic") || isNull(st.Key) {
			continue
		}
		serdes, err := serdesOf(s.c, st.Pipe)
		if err != nil {
			return nil
		}
		put := topologytest.Record{Timestamp: processor.Timestamp(st.TS)}
		put.Key, put.Value = must(serdes.key.encodeJSON(st.Key)), must(serdes.value.encodeJSON(st.Value))
		puts = append(puts, put)
	}
	return puts
}

// versionsLogged returns the records of a changelog in Kafka Streams.
func (s *subject) versionsLogged(topic string) (puts []topologytest.Record) {
	for _, st := range s.c.Steps {
		for name, records := range st.Internal {
			if s.o.built.names.here(name) != topic {
				continue
			}
			for _, r := range records {
				puts = append(puts, topologytest.Record{Key: unhex(r.Key), Value: unhex(r.Value), Timestamp: processor.Timestamp(*r.TS)})
			}
		}
	}
	return puts
}

// bufferHasTimes allows the records of a join's buffer to have timestamps in the
// changelog.
func bufferHasTimes(s *subject, d difference) bool {
	want, digested := s.digestOf(d.topic)
	if !digested || !strings.HasSuffix(d.topic, "-buffer-changelog") {
		return false
	}
	records := slices.Clone(s.o.topics[d.topic])
	for i := range records {
		records[i].Timestamp = -1
	}
	return digestOf(records) == want
}

// nullKeyWithGrace allows a record without a key in a left join with a grace, where Kafka
// Streams fails with a NullPointerException. It must be joined at once, with no row.
func nullKeyWithGrace(s *subject, d difference) bool {
	st := s.step(d)
	i := slices.IndexFunc(s.c.Topology, func(o op) bool { return o.has("gracePeriod") && o.text("type") == "left" })
	if st == nil || i < 0 || !isNull(st.Key) || !strings.HasSuffix(st.Error["rootClass"], ".NullPointerException") {
		return false
	}
	in := must(serdesOf(s.c, st.Pipe)).value
	value := must(in.Decode(must(in.encodeJSON(st.Value))))
	joined := must(must(joinerOf(s.c.Topology[i].text("joiner")))(value, nil))
	for topic, got := range s.o.steps[d.step-1].topics {
		if s.c.Topics[topic].Role != "sink" {
			continue
		}
		want := must(must(serdesOf(s.c, topic)).value.Append(nil, joined))
		return len(got) == 1 && got[0].Key == nil && equalBytes(got[0].Value, want) && int64(got[0].Timestamp) == st.TS
	}
	return false
}

// forgottenDeletion allows a deletion to stand that took the place of a version from the
// same time, where the key had no earlier version. Kafka Streams forgets it: a version
// that comes late is then the newest one, or lasts for longer. If the case only groups
// the table, all results must be exactly those of a model.
func forgottenDeletion(s *subject, d difference) bool {
	if !deletionForgotten(s, d) {
		return false
	}
	m, to := modelOfVersionedGroupsOf(s.c)
	return m == nil || m.agrees(s.o, to)
}

// deletionForgotten reports whether a version has come, in a step before that of a
// difference or in it, that lies before a deletion which Kafka Streams has forgotten.
func deletionForgotten(s *subject, d difference) bool {
	type newest struct {
		at        int64
		present   bool
		before    bool  // there was an earlier version
		forgotten int64 // the time of a deletion that Kafka Streams forgets, or -1
	}
	keys := map[string]newest{}
	for i, st := range s.c.Steps {
		if isNull(st.Key) || !s.keepsVersions(st.Pipe) {
			continue
		}
		key, at, present := st.Pipe+string(st.Key), int64(st.TS), !isNull(st.Value)
		last, known := keys[key]
		switch {
		case !known:
			last = newest{at: at, present: present, forgotten: -1}
		case at < last.forgotten:
			return d.step == 0 || d.step > i
		case at < last.at:
			last.before = true
		case at > last.at:
			last.at, last.present, last.before = at, present, true
		case last.present && !present && !last.before:
			last.present, last.forgotten = false, at
		default:
			last.present = present
		}
		keys[key] = last
	}
	return false
}

// suppressedVersions allows a suppress of a table that keeps versions.
func suppressedVersions(s *subject, _ difference) bool {
	return s.o.buildErr == nil && hasOp(s.c, "suppress") && slices.ContainsFunc(s.c.Topology, func(o op) bool { return s.keepsVersions(o.text("topic")) })
}

// newestRows allows updates of the past to be missing in a store of a derived table
// without versions, and behind it, and behind any table if updates are merged. From the
// first one on, Kafka Streams' stores have other rows: deletions of rows that are not
// there are missing then, and rows are those of the changelog.
func newestRows(s *subject, d difference) bool {
	stored := slices.ContainsFunc(s.c.Topology, func(o op) bool {
		return o.text("op") != "table" && o.has("materialized") && !o.child("materialized").has("versioned")
	})
	first := s.firstOfThePast()
	if !stored && cacheBytes(s.c) == 0 || first == 0 || d.step > 0 && d.step < first {
		return false
	}
	switch d.aspect {
	case inDropped:
		return cacheBytes(s.c) > 0 && s.surplus() < 0
	case inStores:
		return s.asLogged(d)
	}
	return len(d.got) == 0 && (s.ofThePast(d.step) || !slices.ContainsFunc(d.want, func(w wanted) bool { return w.value != nil }) && s.hasNoRow(d))
}

// firstOfThePast returns the first step with a record that came behind a later version of
// its key, or 0.
func (s *subject) firstOfThePast() int {
	for i := range s.c.Steps {
		if s.ofThePast(i + 1) {
			return i + 1
		}
	}
	return 0
}

// ofThePast reports whether the record of a step came behind a later version of its key.
func (s *subject) ofThePast(n int) bool {
	st := &s.c.Steps[n-1]
	return !isNull(st.Key) && s.keepsVersions(st.Pipe) && slices.ContainsFunc(s.c.Steps[:n-1], func(before step) bool {
		return before.Pipe == st.Pipe && bytes.Equal(before.Key, st.Key) && before.TS > st.TS
	})
}

// hasNoRow reports whether the last record of each wanted key in a topic was a deletion,
// or there was none.
func (s *subject) hasNoRow(d difference) bool {
	there := map[string]bool{}
	for _, before := range s.o.steps[:d.step-1] {
		for _, r := range before.topics[d.topic] {
			there[string(r.Key)] = r.Value != nil
		}
	}
	return !slices.ContainsFunc(d.want, func(w wanted) bool { return there[string(w.key)] })
}

// asLogged reports whether a store has the rows of its changelog.
func (s *subject) asLogged(d difference) bool {
	rows := map[string]topologytest.Record{}
	for _, r := range s.o.topics[internalTopic(d.store, "changelog")] {
		rows[string(r.Key)] = r
		if r.Value == nil {
			delete(rows, string(r.Key))
		}
	}
	var want []string
	for _, r := range rows {
		want = append(want, fmt.Sprintf("%s@%d=%s", show(r.Key), int64(r.Timestamp), show(r.Value)))
	}
	return len(want) == len(d.gotRows) && isSubset(want, d.gotRows)
}

// keepsVersions reports whether a topic is read as a table that keeps versions.
func (s *subject) keepsVersions(topic string) bool {
	return slices.ContainsFunc(s.c.Topology, func(o op) bool {
		return o.text("op") == "table" && o.text("topic") == topic && o.child("materialized").has("versioned")
	})
}
