// Package conformance holds no code but tests: it runs the cases of the conformance corpus, captured from Kafka Streams, through Millrace's
// public API.
//
// A case is a declarative topology, the records and clock steps that go in, and what came out of the Java library after each step. The runner
// builds the topology with package topology (build_test.go and its neighbours), runs it in topologytest in the Java test driver's order
// (run_test.go), and compares records on topics, changelogs and repartition topics byte by byte, the stores' content, the number of dropped
// records, and whether a step fails (compare_test.go).
//
// A case ends as one of
//
//	pass       nothing differs
//	departure  it differs, and departures.json says that and why it should
//	not yet    it uses an operation that Millrace does not have; it is not run
//	fail       anything else, also a departure that is listed and does not differ any more
//
// The corpus is looked for in the directories of the path list MILLRACE_CONFORMANCE, relative to the module's root; default ../shared/conformance.
// A directory may be the corpus (with cases and vectors in it) or a folder of cases. The tests are skipped if there is none.
package conformance
