// Package conformance contains only tests. They run the cases of the conformance corpus,
// captured from Kafka Streams, through Millrace's public API.
//
// A case is a declarative topology, the records and clock steps that go in, and the
// output of the Java library after each step.
//
//  1. The runner builds the topology with package topology (build_test.go and its
//     neighbours).
//  2. It runs the topology in topologytest, in the order of the Java test driver
//     (run_test.go).
//  3. It compares the results (compare_test.go): the records on topics, changelogs and
//     repartition topics byte by byte, the content of the stores, the number of dropped
//     records, and whether a step fails.
//  4. It compares the text of Describe (compare_describe_test.go): its layout, and the
//     nodes, edges, topics and stores that it describes. Names of nodes must be equal
//     where the case gives them.
//
// Each case has one of these results:
//
//	pass       nothing differs
//	departure  a rule of departures.json (rules_test.go) covers each
//	           difference and says why it should differ
//	not yet    the case uses an operation, or has a field, that Millrace or
//	           the runner does not have; it is not judged
//	fail       anything else
//
// The corpus is read from the directories in the path list MILLRACE_CONFORMANCE, relative
// to the module's root. The default is ../shared/conformance. A directory may be the
// corpus (with the directories cases and vectors) or a folder of cases.
//
//   - If the default directory does not exist, the tests are skipped. In CI (the
//     environment variable CI is set) they fail.
//   - If a directory from the environment has no cases, or a file is broken, the tests
//     fail.
package conformance
