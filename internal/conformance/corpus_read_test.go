package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDirectoriesOfTheCorpus(t *testing.T) {
	for _, test := range []struct {
		list  string
		want  []string
		asked bool
	}{
		{"", []string{"../../../shared/conformance"}, false},
		{"/a:b::/a/", []string{"/a", "../../b"}, true},
	} {
		t.Setenv("MILLRACE_CONFORMANCE", strings.ReplaceAll(test.list, ":", string(filepath.ListSeparator)))
		if dirs, asked := corpusDirs(); !slices.Equal(dirs, test.want) || asked != test.asked {
			t.Errorf("%q gives %q, %v, want %q, %v", test.list, dirs, asked, test.want, test.asked)
		}
	}
}

// Without the corpus, the comparison with Kafka Streams fails in CI, and is skipped with
// a reason elsewhere. The tests run in processes of their own, because they read the
// environment and the working directory.
func TestWithoutTheCorpus(t *testing.T) {
	t.Parallel()
	for ci, fails := range map[string]bool{"true": true, "": false} {
		for _, test := range []string{"TestConformance", "TestWindowStoreKeys"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+test+"$")
			dir := filepath.Join(t.TempDir(), "module", "internal", "conformance")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "MILLRACE_CONFORMANCE=", "CI="+ci)
			out, err := cmd.CombinedOutput()
			if (err != nil) != fails || !strings.Contains(string(out), "set MILLRACE_CONFORMANCE to the conformance corpus") {
				t.Errorf("%s with CI=%q ends with %v:\n%s", test, ci, err, out)
			}
		}
	}
}

func TestFilesOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := caseFiles(filepath.Join(dir, "nowhere")); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a directory that does not exist: error %v", err)
	}
	if _, err := caseFiles(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory without cases: error %v", err)
	}
	inner := filepath.Join(dir, "cases")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	file := write(t, inner, "[]")
	if files, err := caseFiles(dir); err != nil || !slices.Equal(files, []string{file}) {
		t.Errorf("files %q, error %v, want %s", files, err, file)
	}
}

func write(t *testing.T, dir, text string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "some.json")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBrokenCases(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		cases      int
		err        string // a part of it
	}{
		{"no JSON", `[{"name": "a/b",`, 0, "unexpected EOF"},
		{"two values", `[] []`, 0, "behind the value"},
		{"an object", `{"name": "a/b", "area": "a"}`, 0, "cannot unmarshal object"},
		{"a mistake in one", `[{"name": "a/b", "area": "a"}, {"name": "a/c", "area": 5}, {"name": "a/d", "area": "a"}]`, 2, "case 2"},
		{"no name", `[{"area": "a"}]`, 0, "no name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cases, err := readCases(write(t, t.TempDir(), test.text))
			if len(cases) != test.cases || err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%d cases, error %v, want %d and %q", len(cases), err, test.cases, test.err)
			}
		})
	}
}

// If a part of a case is unknown to the runner, the case is "not yet", wherever the part
// is.
func TestUnknownParts(t *testing.T) {
	t.Parallel()
	const in = `{"id": "s", "op": "stream", "topic": "in", "key": "string", "value": "string"`
	process := func(processor string) string {
		return in + `}, {"id": "p", "op": "process", "from": "s", "processor": ` + processor + `}`
	}
	aggregate := func(rest string) string { return in + `}, {"id": "g", "op": "groupByKey", "from": "s"}, ` + rest }
	for part, text := range map[string]string{
		"a field of the case":     `"more": 1, "topology": [` + in + `}]`,
		"a field of a step":       `"topology": [` + in + `}], "steps": [{"pipe": "in", "more": 1}]`,
		"a step of another kind":  `"topology": [` + in + `}], "steps": [{}]`,
		"a topic without serdes":  `"topology": [` + in + `}], "steps": [{"pipe": "in"}]`,
		"a setting":               `"config": {"more": 1}, "topology": [` + in + `}]`,
		"an operation":            `"topology": [{"op": "more"}]`,
		"a parameter":             `"topology": [` + in + `, "more": 1}]`,
		"an extractor":            `"topology": [` + in + `, "extractor": "more"}]`,
		"a serde":                 `"topology": [{"id": "s", "op": "stream", "topic": "in", "key": "more", "value": "string"}]`,
		"a function":              `"topology": [` + in + `}, {"id": "f", "op": "filter", "from": "s", "fn": "more"}]`,
		"a parameter of a branch": `"topology": [` + in + `}, {"id": "b", "op": "split", "from": "s", "branches": [{"fn": "true", "more": 1}]}]`,
		"a processor":             `"topology": [` + process(`{"kind": "more"}`) + `]`,
		"a processor's parameter": `"topology": [` + process(`{"kind": "drop", "more": 1}`) + `]`,
		"a schedule's parameter":  `"topology": [` + process(`{"kind": "scheduler", "schedules": [{"type": "wall", "more": 1}]}`) + `]`,
		"a schedule's type":       `"topology": [` + process(`{"kind": "scheduler", "schedules": [{"type": "more"}]}`) + `]`,
		"commands":                `"topology": [` + process(`{"kind": "store-cmd", "store": "more"}`) + `]`,
		"a store":                 `"topology": [{"op": "addStore", "type": "more", "name": "st"}]`,
		"a store's parameter":     `"topology": [{"op": "addStore", "type": "kv", "name": "st", "more": 1}]`,
		"windows":                 `"topology": [` + aggregate(`{"id": "w", "op": "windowedBy", "from": "g", "window": {"type": "more"}}`) + `]`,
		"a window's parameter":    `"topology": [` + aggregate(`{"id": "w", "op": "windowedBy", "from": "g", "window": {"type": "unlimited", "more": 1}}`) + `]`,
		"a table's store":         `"topology": [` + aggregate(`{"id": "c", "op": "count", "from": "g", "materialized": {"more": 1}}`) + `]`,
		"a table's store's type":  `"topology": [` + aggregate(`{"id": "c", "op": "count", "from": "g", "materialized": {"type": "more"}}`) + `]`,
	} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			c, err := readCase([]byte(`{"name": "a/b", "area": "a", ` + text + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if end := judge(t, c, nil, &departures{}); end.ending != notThere {
				t.Errorf("the case ends as %d (%s), want not yet", end.ending, end.why)
			}
		})
	}
}
