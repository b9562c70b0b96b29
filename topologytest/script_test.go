package topologytest

import (
	"errors"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

var script = Script{
	Topologies: map[string]func(b *topology.Builder){
		"upper": func(b *topology.Builder) {
			in := topology.Source(b, "in", serde.String, serde.String)
			topology.TryMapValues(in, func(v string) (string, error) {
				if v == "bad" {
					return "", errors.New("a bad value")
				}
				return strings.ToUpper(v), nil
			}, serde.String, topology.Named("upper")).To("out")
		},
	},
	Formats: []Format{Text("in", serde.String, serde.String), Text("out", serde.String, serde.String)},
}

// A global store has no partitions. Its rows are shown once, in whichever task they are.
func TestScriptShowsRowsOfGlobalStores(t *testing.T) {
	t.Parallel()
	s := Script{
		Topologies: map[string]func(b *topology.Builder){"prices": func(b *topology.Builder) {
			prices := topology.GlobalTable(b, "prices", serde.String, serde.String)
			in := topology.Source(b, "in", serde.String, serde.String)
			topology.JoinGlobal(in, prices, func(item string) string { return item }, func(_, price string) string { return price }, serde.String).To("out")
		}},
		Formats: []Format{Text("prices", serde.String, serde.String), Rows("prices", func(d *Driver, p int32) iter.Seq2[state.Entry[string, string], error] {
			return Store[state.KeyValueStore[string, string]](d, "prices", p).All()
		})},
		Options: []Option{Partitions("in", 3)},
	}
	const text = `== Rows
topology prices
prices @1s tea=3
prices @2s rice=2
rows prices
  rice=2 @2s
  tea=3 @1s
`
	if got := s.Play(t, text); got != text {
		t.Errorf("played:\n%s", got)
	}
}

const played = `# About this file.

== In upper case
topology upper
# A comment.
in @1m1.5s a=x = y
  out @1m1.5s a=X = Y
in @2s =no key
  out @2s =NO KEY
in @3s no-value
  out @3s no-value

== An error
topology upper
in @1s a=bad
  error: node upper: process: record in/0@0: a bad value
`

func TestScriptPlay(t *testing.T) {
	t.Parallel()
	var commands []string
	for _, line := range strings.Split(played, "\n") {
		if !strings.HasPrefix(line, resultMark) {
			commands = append(commands, line)
		}
	}
	for what, text := range map[string]string{
		"right results": played,
		"no results":    strings.Join(commands, "\n"),
		"wrong results": strings.ReplaceAll(played, "  out", "  elsewhere"),
	} {
		if got := script.Play(t, text); got != played {
			t.Errorf("with %s, got:\n%s", what, got)
		}
	}
}

// Each change of a scenario is seen: a result that is missing, wrong, or too much.
func TestScriptMismatches(t *testing.T) {
	t.Parallel()
	got := split(played)[1].lines
	for text, want := range map[string]string{
		played: "",
		strings.Replace(played, "  out @2s =NO KEY\n", "", 1):               "8: in @2s =no key\ngot:\n  out @2s =NO KEY\nwant:\n",
		strings.Replace(played, "=NO KEY", "=no key", 1):                    "8: in @2s =no key\ngot:\n  out @2s =NO KEY\nwant:\n  out @2s =no key",
		strings.Replace(played, "  out @3s no-value\n", "  a\n  b\n", 1):    "10: in @3s no-value\ngot:\n  out @3s no-value\nwant:\n  a\n  b",
		strings.Replace(played, "# A comment.\n", "# A comment.\n  a\n", 1): "5: # A comment.\ngot:\n\nwant:\n  a",
	} {
		if all := strings.Join(mismatches(split(text)[1], got), "\n"); all != want {
			t.Errorf("got:\n%s\nwant:\n%s", all, want)
		}
	}
}

// Rewrite changes the file and nothing but the results in it.
func TestScriptRewrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "scenarios.txt")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(played, "  out", "  elsewhere")), 0o644); err != nil {
		t.Fatal(err)
	}
	s := script
	s.Rewrite = true
	s.Run(t, file)
	if got, err := os.ReadFile(file); err != nil || string(got) != played {
		t.Errorf("%v; the file is\n%s", err, got)
	}
	s.Rewrite = false
	s.Run(t, file)
}

func TestScriptMistakes(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"topology nothing":              `no topology "nothing"`,
		"commit":                        "want the line topology NAME first",
		"topology upper\nother @1s a=b": `no Format of "other"`,
		"topology upper\nin @1 a=b":     "missing unit",
		"topology upper\nrows store":    `no Format of store "store"`,
		"topology upper\nclock":         "invalid duration",
		"topology upper\ncrash loose":   "want crash or crash lose",
		"topology upper\ncommit now":    "commit takes nothing more",
	} {
		lines := split("== Title\n" + line)[1].lines
		p := &player{t: t, s: script, shown: map[string]int{}}
		var err error
		for _, line := range lines[1:] {
			if _, err = p.run(line); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}

// Versions needs the name of a versioned store of the topology, and its types.
func TestScriptVersionsMistakes(t *testing.T) {
	t.Parallel()
	s := Script{
		Topologies: map[string]func(b *topology.Builder){
			"tables": func(b *topology.Builder) {
				in := topology.Source(b, "in", serde.String, serde.String)
				in.ToTable("plain")
				in.ToTable("past", topology.Versioned(time.Minute))
			},
		},
		Formats: []Format{
			Versions[string, string]("plain"), Versions[string, int64]("past"), Versions[string, string]("other"),
		},
	}
	for store, want := range map[string]string{
		"plain": `store "plain" is not a versioned store with keys of type string and values of type string`,
		"past":  `store "past" is not a versioned store with keys of type string and values of type int64`,
		"other": `the topology has no store "other"`,
	} {
		p := &player{t: t, s: s, shown: map[string]int{}}
		if _, err := p.run("topology tables"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.run("rows " + store); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestScriptNumbers(t *testing.T) {
	t.Parallel()
	f := Text("n", serde.Int64, serde.JSON[map[string]int]())
	const text = `-7={"a":1}`
	r, err := f.topic.parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.topic.text(r); got != text || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := f.topic.parse("x=1"); err == nil || !strings.Contains(err.Error(), `key "x"`) {
		t.Errorf("got %v", err)
	}
	if got := timeText(processor.Timestamp(90_000)); got != "1m30s" {
		t.Errorf("got %s", got)
	}
}

// What would not be run is an error, and not passed over.
func TestScriptsThatRunNothing(t *testing.T) {
	t.Parallel()
	const scenario = "topology upper\nin @1s a=b\n  out @1s a=wrong\n"
	for text, want := range map[string]string{
		"":                                "there is no scenario",
		"# A comment.\n":                  "there is no scenario",
		scenario:                          `line 1, "topology upper", is in front of the first scenario`,
		"\n==Title\n" + scenario:          `line 2, "==Title", is in front of the first scenario`,
		"== Title\n== \n" + scenario:      "line 2: the scenario has no title",
		"== Title\n==  \t\n" + scenario:   "line 2: the scenario has no title",
		"  a result\n== Title\n" + played: `line 1, "  a result", is in front of the first scenario`,
	} {
		if err := check(split(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if err := check(split(played)); err != nil {
		t.Error(err)
	}
}

// Editors, and git on Windows, change white space.
func TestScriptWhiteSpace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "scenarios.txt")
	s := script
	for what, text := range map[string]string{
		"ends of lines as on Windows": strings.ReplaceAll(played, "\n", "\r\n"),
		"blank lines with spaces":     strings.ReplaceAll(played, "\n\n", "\n    \n"),
		"blank lines with a space":    strings.ReplaceAll(played, "\n\n", "\n \n"),
		"blank lines with a tab":      strings.ReplaceAll(played, "\n\n", "\n\t\n"),
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, s.Rewrite = range []bool{false, true} {
			s.Run(t, file)
			if got, err := os.ReadFile(file); err != nil || string(got) != text {
				t.Errorf("%s: %v; the file is %q", what, err, got)
			}
		}
	}
}

// What a command shows is one line for each record, whatever is in it.
func TestScriptLineBreaks(t *testing.T) {
	t.Parallel()
	s := Script{
		Topologies: map[string]func(b *topology.Builder){
			"lines": func(b *topology.Builder) {
				in := topology.Source(b, "in", serde.String, serde.String)
				topology.MapValues(in, func(v string) string { return v + "\r\nend" }, serde.String).To("out")
			},
		},
		Formats: []Format{Text("in", serde.String, serde.String), Text("out", serde.String, serde.String)},
	}
	const text = "== Lines\ntopology lines\nin @1s a=b\n" + `  out @1s a=b\r\nend` + "\n"
	if got := s.Play(t, text); got != text {
		t.Errorf("got %q", got)
	}
}

// A time that is no duration is shown as a number of milliseconds.
func TestScriptTimes(t *testing.T) {
	t.Parallel()
	const last = math.MaxInt64 / int64(time.Millisecond)
	for at, want := range map[int64]string{
		1_234: "1.234s", last: "2562047h47m16.854s", last + 1: "9223372036855ms", math.MaxInt64: "9223372036854775807ms",
	} {
		if got := timeText(processor.Timestamp(at)); got != want {
			t.Errorf("%d is %s, want %s", at, got, want)
		}
	}
}
