package conformance

import "slices"

// hasSessions reports whether the case aggregates sessions.
func hasSessions(c *testCase) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool { return o.child("window").text("type") == "session" })
}

// headersOfSessions allows headers on the results of sessions, where Kafka Streams has
// none.
func headersOfSessions(s *subject, d difference) bool {
	return hasSessions(s.c) && !slices.ContainsFunc(d.want, func(w wanted) bool { return len(w.headers) > 0 })
}

// deletionsOfNoSession allows deletions to be missing, if an aggregator returns null.
func deletionsOfNoSession(s *subject, d difference) bool {
	return hasSessions(s.c) && isPart(d.want, d.got) && len(kept(d.got)) == len(keptWanted(d.want))
}

// sessionsKept allows more sessions in a store.
func sessionsKept(s *subject, d difference) bool {
	return hasSessions(s.c) && isSubset(d.wantRows, d.gotRows)
}
