package topologytest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/topology"
)

// Script runs scenarios that are written as text: records and steps of the clock in,
// records and rows of stores out.
//
//	== One row for each window
//	topology per-second
//	clicks @100ms ann=/home
//	  counts @100ms [ann@0/1000]=1
//	clicks @1200ms ann=/shop
//	  counts @1.2s [ann@1000/2000]=1
//
// A scenario begins with its title, after "== ", and the name of its topology. A line
// that begins with two spaces is what the command in front of it has shown. Blank lines
// and lines that begin with # are comments; nothing else may come in front of the first
// title. The commands are:
//
//	TOPIC @TIME KEY=VALUE   send a record to the partition of its key
//	TOPIC @TIME KEY         send a record without a value
//	TOPIC @TIME =VALUE      send a record without a key
//	clock +DURATION         see Driver.Advance
//	commit                  see Driver.Commit
//	crash, crash lose       see Driver.CrashAll; lose means LoseDisk
//	rows STORE              show the rows of all partitions of a store; of a versioned
//	                        store, its versions
//
// A command shows the records that have become visible in the topics of Formats, topic by
// topic in order of their names, each in order of commit. After them it shows how many
// records were dropped and why, or the error with which the topology has stopped. Times
// are durations since 1970, such as 1.2s; those after the year 2262 are shown in
// milliseconds. Keys and values that are not text are JSON; those with a String method
// are written by it. A line break in what is shown is written as \n.
type Script struct {
	// Topologies has the topologies by name. A function builds its topology anew for each
	// scenario.
	Topologies map[string]func(b *topology.Builder)
	// Formats says how topics and stores are written. A topic without a Format cannot be
	// sent to, and is not shown. A topic and a store of the same name have one each.
	Formats []Format
	// Options are those of each driver. With CommitInterval, a scenario decides when to
	// commit.
	Options []Option
	// Rewrite makes Run write what happens into the file. Read the difference before you
	// keep it. A test usually sets it from a flag of its own.
	Rewrite bool
}

// scenario is a part of a script.
type scenario struct {
	title string
	first int // line number of its first line
	lines []string
}

const titleMark, resultMark = "== ", "  "

// Run runs each scenario of a file as a subtest. If something else happens than the file
// says, the test fails, and names the line of the command. With Rewrite, the file is
// changed instead.
func (s Script) Run(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const windows = "\r\n" // the ends of lines, perhaps made by git
	parts := split(strings.ReplaceAll(string(data), windows, "\n"))
	if err := check(parts); err != nil {
		t.Fatalf("topologytest: %s: %v", file, err)
	}
	var all []string
	for _, part := range parts {
		lines := part.lines
		if part.title != "" {
			t.Run(part.title, func(t *testing.T) {
				t.Helper()
				lines = s.play(t, part)
				for _, m := range mismatches(part, lines) {
					if !s.Rewrite {
						t.Errorf("%s:%s", file, m)
					}
				}
			})
		}
		all = append(all, lines...)
	}
	if s.Rewrite && !t.Failed() {
		end := "\n"
		if strings.Contains(string(data), windows) {
			end = windows
		}
		if err := os.WriteFile(file, []byte(strings.Join(all, end)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// Play runs the scenarios of a text. It returns the text with what has happened, in place
// of what the text says.
func (s Script) Play(t testing.TB, text string) string {
	t.Helper()
	parts := split(text)
	if err := check(parts); err != nil {
		t.Fatalf("topologytest: %v", err)
	}
	var all []string
	for _, part := range parts {
		if part.title != "" {
			part.lines = s.play(t, part)
		}
		all = append(all, part.lines...)
	}
	return strings.Join(all, "\n")
}

// split divides a text into its scenarios. What comes in front of them is one without a
// title.
func split(text string) (parts []scenario) {
	part := scenario{first: 1}
	for i, line := range strings.Split(text, "\n") {
		if title, ok := strings.CutPrefix(line, titleMark); ok {
			parts = append(parts, part)
			part = scenario{title: title, first: i + 1}
		}
		part.lines = append(part.lines, line)
	}
	return append(parts, part)
}

// check returns an error if a part of a text would not be run.
func check(parts []scenario) error {
	for i, line := range parts[0].lines {
		if !isComment(line) {
			return fmt.Errorf("line %d, %q, is in front of the first scenario: begin a scenario with a line == TITLE", i+1, line)
		}
	}
	if len(parts) == 1 {
		return errors.New("there is no scenario: begin one with a line == TITLE")
	}
	for _, part := range parts[1:] {
		if strings.TrimSpace(part.title) == "" {
			return fmt.Errorf("line %d: the scenario has no title: write one after ==", part.first)
		}
	}
	return nil
}

// isComment reports whether a line has no meaning.
func isComment(line string) bool {
	return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
}

// isResult reports whether a line is what a command has shown.
func isResult(line string) bool { return strings.HasPrefix(line, resultMark) && !isComment(line) }

// play runs a scenario, and returns its lines with what has happened.
func (s Script) play(t testing.TB, part scenario) (lines []string) {
	t.Helper()
	p := &player{t: t, s: s, shown: map[string]int{}}
	for i, line := range part.lines {
		if isResult(line) {
			continue
		}
		lines = append(lines, line)
		if isComment(line) || strings.HasPrefix(line, titleMark) {
			continue
		}
		results, err := p.run(line)
		if err != nil {
			t.Fatalf("topologytest: line %d, %q: %v", part.first+i, line, err)
		}
		for _, result := range results {
			lines = append(lines, resultMark+oneLine.Replace(result))
		}
	}
	return lines
}

// oneLine writes what is shown in one line.
var oneLine = strings.NewReplacer("\n", `\n`, "\r", `\r`)

// mismatches describes the commands after which other lines follow in got than in the
// scenario. Each description begins with the number of a line.
func mismatches(part scenario, got []string) (all []string) {
	for want := part.lines; len(want) > 0; {
		command, line := want[0], part.first+len(part.lines)-len(want)
		want, got = want[1:], got[1:]
		wanted, happened := results(want), results(got)
		want, got = want[len(wanted):], got[len(happened):]
		if !slices.Equal(wanted, happened) {
			all = append(all, fmt.Sprintf("%d: %s\ngot:\n%s\nwant:\n%s", line, command, strings.Join(happened, "\n"), strings.Join(wanted, "\n")))
		}
	}
	return all
}

// results returns the lines of results at the beginning of lines.
func results(lines []string) []string {
	n := slices.IndexFunc(lines, func(line string) bool { return !isResult(line) })
	if n < 0 {
		n = len(lines)
	}
	return lines[:n]
}

// build makes the driver of a scenario.
func (s Script) build(t testing.TB, name string) (*Driver, error) {
	f := s.Topologies[name]
	if f == nil {
		return nil, fmt.Errorf("the Script has no topology %q", name)
	}
	b := topology.New()
	f(b)
	topo, err := b.Build()
	if err != nil {
		return nil, err
	}
	return TryNew(t, topo, s.Options...)
}
