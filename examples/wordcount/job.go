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
	partitions = 4       // of that topic, if the program creates it
)

// job splits lines into words. Every interval, it prints to out how often each word has
// occurred.
func job(interval time.Duration, out io.Writer) (*topology.Topology, error) {
	b := topology.New()
	words := topology.FlatMapValues(topology.Source(b, lines, serde.Bytes, serde.String), strings.Fields, serde.String)
	batch.CountByValue(batch.Every(words, "words", interval), "counts").Print(out)
	return b.Build()
}
