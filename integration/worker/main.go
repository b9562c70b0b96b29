// Worker is the program that the tests on real Kafka start, kill and restart. It counts
// the records of a topic by value, through a repartition topic, and sends every update,
// or the merged updates, to another topic. With -interval it counts them in batches, with
// -timed in sessions and sliding windows. With -table it looks the keys of the records up
// in a table instead. On standard output it writes the lines that the tests wait for.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/integration/internal/program"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

type options struct {
	in, out, also, alsoOut string
	timeBased              bool
	interval               time.Duration
	table                  string
	sourceAsChangelog      bool
}

// restart is a millrace.Restart as a flag.
type restart millrace.Restart

var restarts = []string{millrace.RestartRefused: "refused", millrace.RestartEarliest: "earliest", millrace.RestartLatest: "latest"}

func (r *restart) String() string { return restarts[*r] }

func (r *restart) Set(text string) error {
	i := slices.Index(restarts, text)
	if i < 0 {
		return fmt.Errorf("want one of %v", restarts)
	}
	*r = restart(i)
	return nil
}

func main() {
	var o options
	var lost, recreated restart
	flag.StringVar(&o.in, "in", "", "topic to count")
	flag.StringVar(&o.out, "out", "", "topic of the counts")
	flag.StringVar(&o.also, "also", "", "a second topic, whose values are sent in upper case to -also-out")
	flag.StringVar(&o.alsoOut, "also-out", "", "topic for what is read from -also")
	flag.DurationVar(&o.interval, "interval", 0, "count in batches of this length: by value to -out, all to -also-out")
	flag.BoolVar(&o.timeBased, "timed", false, "sessions and sliding windows of -in, and its join with -also")
	flag.StringVar(&o.table, "table", "", "topic of a table, in which the keys of -in are looked up")
	flag.BoolVar(&o.sourceAsChangelog, "source-as-changelog", false, "the topic of the table is its changelog")
	flag.Var(&lost, "lost-offsets", "where to begin when offsets were lost: earliest or latest")
	flag.Var(&recreated, "recreated-inputs", "where to begin when a topic was created again: earliest or latest")
	flags := program.Register()
	flag.Parse()
	config := flags.Config()
	config.LostOffsets, config.RecreatedInputs = millrace.Restart(lost), millrace.Restart(recreated)
	if o.table != "" {
		config.Errors = skipping
	}
	program.Main(o.topology(), config)
}

func (o options) topology() *topology.Builder {
	b := topology.New()
	if o.timeBased {
		o.timed(b)
		return b
	}
	if o.table != "" {
		o.asking(b)
		return b
	}
	lines := topology.Source(b, o.in, serde.String, serde.String)
	if o.interval > 0 {
		every := batch.Every(lines, "every", o.interval)
		every.Count("count").To(o.alsoOut)
		batch.CountByValue(every, "by-value").To(o.out)
		every.Count("printed").Print(os.Stdout)
		return b
	}
	byValue := topology.GroupBy(lines, "by-value", func(v string) string { return v }, serde.String)
	byValue.Count("counts").Stream().To(o.out)
	if o.also != "" {
		also := topology.Source(b, o.also, serde.String, serde.String)
		topology.MapValues(also, strings.ToUpper, serde.String).To(o.alsoOut)
	}
	return b
}
