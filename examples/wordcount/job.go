package main

import (
	"io"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

const (
	lines      = "lines" // topic between the inputs and the job
	partitions = 4       // of that topic, if the program makes it
)

// job cuts lines into words, and prints to out how often each has occurred, every interval.
func job(interval time.Duration, out io.Writer) (*topology.Topology, error) {
	b := topology.New()
	words := topology.FlatMapValues(topology.Source(b, lines, serde.Bytes, serde.String), strings.Fields, serde.String)
	batch.CountByValue(batch.Every(words, "words", interval), "counts").Print(out)
	return b.Build()
}
