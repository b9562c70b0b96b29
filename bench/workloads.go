package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// workload is one of the benchmark's workloads, with its topics.
type workload struct {
	name          string
	input, output string
	grace         time.Duration // of hopping
}

// build returns the workload's topology.
func (w workload) build() (*topology.Topology, error) {
	workloads := map[string]func(topology.Stream[string, string]){
		"passthrough":  w.passthrough,
		"count":        w.count,
		"countbyvalue": w.countByValue,
		"wordcount":    w.wordCount,
		"hopping":      w.hopping,
	}
	describe, ok := workloads[w.name]
	if !ok {
		return nil, fmt.Errorf("WORKLOAD is %q: want passthrough, count, countbyvalue, wordcount or hopping", w.name)
	}
	b := topology.New()
	describe(topology.Source(b, w.input, serde.String, serde.String))
	return b.Build()
}

// passthrough drops the records whose sequence number ends in 0, and writes the others in
// upper case.
func (w workload) passthrough(in topology.Stream[string, string]) {
	topology.MapValues(in.Filter(keep), strings.ToUpper, serde.String).To(w.output)
}

func (w workload) count(in topology.Stream[string, string]) {
	topology.GroupByKey(in, "by-key").Count("count").Stream().To(w.output)
}

// countByValue counts by the first field of the value. The input has no keys.
func (w workload) countByValue(in topology.Stream[string, string]) {
	topology.GroupBy(in, "by-word", firstField, serde.String).Count("count").Stream().To(w.output)
}

func (w workload) wordCount(in topology.Stream[string, string]) {
	words := topology.FlatMapValues(in, func(line string) []string { return strings.Split(line, " ") }, serde.String)
	topology.GroupBy(words, "by-word", func(word string) string { return word }, serde.String).Count("count").Stream().To(w.output)
}

// hopping counts by key in windows of a minute that start every five seconds.
func (w workload) hopping(in topology.Stream[string, string]) {
	windows := topology.Hopping(time.Minute, 5*time.Second).Grace(w.grace)
	counts := topology.GroupByKey(in, "by-key").Window(windows).Count("count").Stream()
	topology.SelectKey(counts, keyAtStart, serde.String).To(w.output)
}

func firstField(v string) string {
	word, _, _ := strings.Cut(v, " ")
	return word
}

// keep checks the second field, the sequence number.
func keep(v string) bool {
	_, rest, _ := strings.Cut(v, " ")
	seq, _, _ := strings.Cut(rest, " ")
	return !strings.HasSuffix(seq, "0")
}

// keyAtStart returns a windowed key in the form of the contract: key@start, with the
// start in decimal milliseconds.
func keyAtStart(r processor.Record[serde.Windowed[string], int64]) string {
	return r.Key.Key + "@" + strconv.FormatInt(r.Key.Start, 10)
}
