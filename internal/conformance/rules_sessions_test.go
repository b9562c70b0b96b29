package conformance

import (
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/topologytest"
)

// hasSessions reports whether the case aggregates sessions.
func hasSessions(c *testCase) bool { return hasWindowsOf(c, "session") }

// headersOfSessions allows headers on the results of sessions, where Kafka Streams has
// none, also in the changelog of a suppress.
func headersOfSessions(s *subject, d difference) bool {
	if d.aspect == inInternal {
		return hasSessions(s.c) && s.o.built.buffers[d.topic] && pairwise(d, func(w wanted, g topologytest.Record) bool {
			return sameRecord(w, g) || g.Value != nil && sameRecord(w, withoutBufferedHeaders(g))
		})
	}
	return hasSessions(s.c) && !slices.ContainsFunc(d.want, func(w wanted) bool { return len(w.headers) > 0 })
}

// deletionsOfNoSession allows deletions to be missing, if an aggregator returns null.
func deletionsOfNoSession(s *subject, d difference) bool {
	return hasSessions(s.c) && isPart(d.want, d.got) && len(kept(d.got)) == len(keptWanted(d.want))
}

// windowsKept allows more windows of a cogroup, sessions or sliding windows in a store,
// and more late records of sliding windows.
func windowsKept(s *subject, d difference) bool {
	if d.aspect == inDropped {
		// A record is late for each window that it would be in, if that is still there.
		return hasSliding(s.c) && s.surplus() > 0 && s.surplus() < s.o.reasons["late record"]
	}
	return (hasSessions(s.c) || hasSliding(s.c) || hasOp(s.c, "cogroup") && hasOp(s.c, "windowedBy")) && isSubset(d.wantRows, d.gotRows)
}

// turnedRanges allows a range whose lower bound is the greater one to be empty, where
// Kafka Streams' session stores in memory fail.
func turnedRanges(s *subject, d difference) bool {
	inMemory := slices.ContainsFunc(s.c.Topology, func(o op) bool { return o.text("type") == "session" && o.flag("inMemory") })
	return inMemory && pairwise(d, func(w wanted, g topologytest.Record) bool {
		return string(g.Value) == "[]" && strings.HasSuffix(string(w.value), "inconsistent range")
	})
}

// hasSliding reports whether the case aggregates sliding windows.
func hasSliding(c *testCase) bool { return hasWindowsOf(c, "sliding") }

// hasWindowsOf reports whether the case aggregates windows of a type.
func hasWindowsOf(c *testCase, kind string) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool { return o.child("window").text("type") == kind })
}
