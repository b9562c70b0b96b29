// Smoke runs the topology of Kafka's own smoke test for Streams
// (org.apache.kafka.streams.tests.SmokeTestClient, version 4.3.1), with its topics, its
// serdes and its text form of windowed keys. Kafka's SmokeTestDriver can produce the
// input and judge the output. docs/kafka-streams.md says how.
//
//	go run ./integration/smoke -brokers localhost:9092
//
// The topics must exist: data, min, max, sum and cnt with equal numbers of partitions,
// and echo, min-raw, min-suppressed, sws-raw, sws-suppressed, dif, avg and tagg.
package main

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"

	"github.com/millrace-streams/millrace/integration/internal/program"
)

func main() {
	prefix := flag.String("prefix", "", "text in front of the name of each topic")
	flags := program.Register()
	flag.Parse()
	flags.Application = cmp.Or(flags.Application, "SmokeTest")
	flags.StateDir = cmp.Or(flags.StateDir, filepath.Join(os.TempDir(), "millrace-smoke"))
	program.Main(smokeTopology(*prefix), flags.Config())
}
