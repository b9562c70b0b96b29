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
//	departure  each of its differences falls under a rule of departures.json (rules_test.go), which says why it should differ
//	not yet    it uses an operation, or has a field, that Millrace or the runner does not have; it is not judged
//	fail       anything else
//
// The corpus is looked for in the directories of the path list MILLRACE_CONFORMANCE, relative to the module's root; default ../shared/conformance.
// A directory may be the corpus (with cases and vectors in it) or a folder of cases. Without the default directory the tests are skipped; a directory that
// was asked for and has no cases, and a file that is broken, fail.
package conformance
