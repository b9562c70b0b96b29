package conformance

import "slices"

// hasSessions reports whether the case aggregates sessions.
func hasSessions(c *testCase) bool { return hasWindowsOf(c, "session") }

// headersOfSessions allows headers on the results of sessions, where Kafka Streams has
// none.
func headersOfSessions(s *subject, d difference) bool {
	return hasSessions(s.c) && !slices.ContainsFunc(d.want, func(w wanted) bool { return len(w.headers) > 0 })
}

// deletionsOfNoSession allows deletions to be missing, if an aggregator returns null.
func deletionsOfNoSession(s *subject, d difference) bool {
	return hasSessions(s.c) && isPart(d.want, d.got) && len(kept(d.got)) == len(keptWanted(d.want))
}

// windowsKept allows more sessions or sliding windows in a store, and more late records
// of sliding windows.
func windowsKept(s *subject, d difference) bool {
	if d.aspect == inDropped {
		// A record is late for each window that it would be in, if that is still there.
		return hasSliding(s.c) && s.surplus() > 0 && s.surplus() < s.o.reasons["late record"]
	}
	return (hasSessions(s.c) || hasSliding(s.c)) && isSubset(d.wantRows, d.gotRows)
}

// hasSliding reports whether the case aggregates sliding windows.
func hasSliding(c *testCase) bool { return hasWindowsOf(c, "sliding") }

// hasWindowsOf reports whether the case aggregates windows of a type.
func hasWindowsOf(c *testCase, kind string) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool { return o.child("window").text("type") == kind })
}
