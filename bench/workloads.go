package main

import (
	"fmt"
	"maps"
	"slices"
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
	input2        string        // of the joins
	grace         time.Duration // of windows and joins of streams
	overlap       int           // hopping windows that a record is in
}

// build returns the workload's topology.
func (w workload) build() (*topology.Topology, error) {
	workloads := map[string]func(topology.Stream[string, string]){
		"passthrough":  w.passthrough,
		"count":        w.count,
		"countbyvalue": w.countByValue,
		"wordcount":    w.wordCount,
		"hopping":      w.hopping,
		"sliding":      w.sliding,
		"session":      w.session,
		"streamtable":  w.streamTable,
		"streamstream": w.streamStream,
	}
	describe, ok := workloads[w.name]
	if !ok {
		return nil, fmt.Errorf("WORKLOAD is %q: want one of %s", w.name, strings.Join(slices.Sorted(maps.Keys(workloads)), ", "))
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

// hopping counts by key in windows of a minute that start every five seconds, or as often
// as overlap says.
func (w workload) hopping(in topology.Stream[string, string]) {
	w.countWindows(in, topology.Hopping(time.Minute, time.Minute/time.Duration(w.overlap)))
}

// sliding counts by key in sliding windows of a minute.
func (w workload) sliding(in topology.Stream[string, string]) {
	w.countWindows(in, topology.Sliding(time.Minute))
}

func (w workload) countWindows(in topology.Stream[string, string], windows topology.Windows) {
	counts := topology.GroupByKey(in, "by-key").Window(windows.Grace(w.grace)).Count("count").Stream()
	topology.SelectKey(counts, keyAtStart, serde.String).To(w.output)
}

// session counts by key in sessions with a gap of five seconds.
func (w workload) session(in topology.Stream[string, string]) {
	counts := topology.GroupByKey(in, "by-key").Sessions(5 * time.Second).Grace(w.grace).Count("count").Stream()
	topology.SelectKey(counts, keyAtBounds, serde.String).To(w.output)
}

// streamTable joins the input with the table of the second input.
func (w workload) streamTable(in topology.Stream[string, string]) {
	table := topology.SourceTable(in.Builder(), w.input2, serde.String, serde.String)
	topology.Join(in, table, func(value, row string) string { return value + "|" + row }, serde.String).To(w.output)
}

// streamStream joins the records of both inputs that are at most a second apart.
func (w workload) streamStream(in topology.Stream[string, string]) {
	right := topology.Source(in.Builder(), w.input2, serde.String, serde.String)
	pair := func(left, right string) string { return sequence(left) + "|" + sequence(right) }
	topology.JoinWindow(in, right, "pairs", topology.Within(time.Second).Grace(w.grace), pair, serde.String).To(w.output)
}

func firstField(v string) string {
	word, _, _ := strings.Cut(v, " ")
	return word
}

// keep checks the second field, the sequence number.
func keep(v string) bool {
	return !strings.HasSuffix(sequence(v), "0")
}

// sequence returns the second field.
func sequence(v string) string {
	_, rest, _ := strings.Cut(v, " ")
	seq, _, _ := strings.Cut(rest, " ")
	return seq
}

// keyAtStart returns a windowed key in the form of the contract: key@start, with the
// start in decimal milliseconds.
func keyAtStart(r processor.Record[serde.Windowed[string], int64]) string {
	return r.Key.Key + "@" + strconv.FormatInt(r.Key.Start, 10)
}

// keyAtBounds returns the key of a session in the form of the contract: key@start@end.
func keyAtBounds(r processor.Record[serde.Windowed[string], int64]) string {
	return keyAtStart(r) + "@" + strconv.FormatInt(r.Key.End, 10)
}
