package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/topologytest"
)

// supplied reports whether a table of the case is kept in a store with one of the given
// suppliers.
func supplied(c *testCase, suppliers ...string) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool {
		return slices.Contains(suppliers, o.child("materialized").text("supplier"))
	})
}

// timestampsInRows allows later timestamps in the results of a table on a plain key-value
// store, and timestamps in its rows. A result has the timestamp of a record of the case:
// one that came before.
func timestampsInRows(s *subject, d difference) bool {
	if !supplied(s.c, "rocksdb", "in-memory") {
		return false
	}
	if d.aspect == inStores {
		return slices.EqualFunc(d.wantRows, d.gotRows, func(want, got string) bool {
			key, value, timeless := strings.Cut(want, "@-1=")
			return timeless && strings.HasPrefix(got, key+"@") && strings.HasSuffix(got, "="+value)
		})
	}
	seen := s.c.Steps[:d.step]
	return pairwise(d, func(w wanted, g topologytest.Record) bool {
		later := w.at != nil && int64(g.Timestamp) >= *w.at
		return later && equalBytes(w.key, g.Key) && equalBytes(w.value, g.Value) &&
			slices.ContainsFunc(seen, func(st step) bool { return st.TS == int64(g.Timestamp) })
	})
}

// tablesAreRead allows a processor that writes the store of a table to be refused.
func tablesAreRead(s *subject, _ difference) bool { return errors.Is(s.o.buildErr, errTableWritten) }

// tablesKeepRows allows rows that an LRU store below a table has forgotten. If the table
// is an aggregation, it also allows other results of a key that the store may have
// forgotten: one that came before, with so many other keys since that the store was full.
func tablesKeepRows(s *subject, d difference) bool {
	size := int64(0)
	folds := false
	for _, o := range s.c.Topology {
		if m := o.child("materialized"); m.text("supplier") == "lru" {
			size = m.ms("size")
			folds = slices.Contains([]string{"count", "reduce", "aggregate"}, o.text("op"))
		}
	}
	switch {
	case size == 0:
		return false
	case d.aspect == inStores:
		return len(d.wantRows) <= int(size) && isSubset(d.wantRows, d.gotRows) || folds && len(d.wantRows) <= int(size)
	}
	return folds && s.mayForget(d.step, size) && len(d.want) == len(d.got)
}

// mayForget reports whether a store of the given size may have forgotten the key of a
// step.
func (s *subject) mayForget(step int, size int64) bool {
	key := s.c.Steps[step-1].Key
	others := map[string]bool{}
	for _, st := range slices.Backward(s.c.Steps[:step-1]) {
		if bytes.Equal(st.Key, key) {
			return int64(len(others)) >= size
		}
		others[string(st.Key)] = true
	}
	return false
}

// upgradeFrom is the configuration with which Kafka Streams writes the formats of an
// earlier version.
const upgradeFrom = "upgrade.from"

// twoMessages are the versions up to 3.4. They send the old and the new row of an update
// as two messages.
var twoMessages = []string{
	"0.10.0", "0.10.1", "0.10.2", "0.11.0", "1.0", "1.1", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8",
	"3.0", "3.1", "3.2", "3.3", "3.4",
}

// changesInOneMessage allows one message with both rows where Kafka Streams sends two,
// and the results between the two to be missing.
func changesInOneMessage(s *subject, d difference) bool {
	if !slices.Contains(twoMessages, op(s.c.Config).text(upgradeFrom)) || !hasOp(s.c, "groupBy") || !hasOp(s.c, "table") {
		return false
	}
	if strings.HasSuffix(d.topic, "-repartition") {
		return slices.EqualFunc(inOneMessage(d.want), d.got, sameRecord)
	}
	return len(d.got) > 0 && isPart(d.want, d.got) && sameRecord(d.want[len(d.want)-1], d.got[len(d.got)-1])
}

// inOneMessage merges each old row with the new row behind it that has the same key.
func inOneMessage(messages []wanted) (merged []wanted) {
	for _, w := range messages {
		added, isNew := bytes.CutSuffix(w.value, []byte{1})
		if n := len(merged) - 1; isNew && n >= 0 && bytes.Equal(merged[n].key, w.key) {
			if removed, isOld := bytes.CutSuffix(merged[n].value, []byte{0}); isOld {
				both := append(binary.AppendVarint(nil, int64(len(added))), added...)
				merged[n].value = append(append(both, removed...), 2)
				continue
			}
		}
		merged = append(merged, w)
	}
	return merged
}
