package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/needtest"
)

// corpusDirs returns the directories where the corpus may be. asked reports whether the
// environment names them. Tests run in the package's directory, two levels below the
// module's root.
func corpusDirs() (dirs []string, asked bool) {
	list := os.Getenv("MILLRACE_CONFORMANCE")
	asked = list != ""
	if !asked {
		list = filepath.Join("..", "shared", "conformance")
	}
	for _, dir := range filepath.SplitList(list) {
		if dir == "" {
			continue
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join("..", "..", dir)
		}
		if dir = filepath.Clean(dir); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, asked
}

// loadCases reads all cases. The test fails if a directory from the environment has no
// cases, or a file cannot be read. If the default directory does not exist, the test is
// skipped, or fails in CI.
func loadCases(t *testing.T) (cases []*testCase) {
	t.Helper()
	dirs, asked := corpusDirs()
	for _, dir := range dirs {
		files, err := caseFiles(dir)
		if err != nil && asked {
			t.Errorf("MILLRACE_CONFORMANCE: %v", err)
		}
		for _, file := range files {
			more, err := readCases(file)
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			cases = append(cases, more...)
		}
	}
	if len(cases) == 0 && !t.Failed() {
		needtest.Missing(t, "no cases in %q: set MILLRACE_CONFORMANCE to the conformance corpus", dirs)
	}
	return cases
}

// caseFiles returns the files with cases in a directory, or in its subdirectory cases.
func caseFiles(dir string) ([]string, error) {
	if inner := filepath.Join(dir, "cases"); exists(inner) {
		dir = inner
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	switch {
	case err != nil:
		return nil, err
	case !exists(dir):
		return nil, fmt.Errorf("there is no directory %s", dir)
	case len(files) == 0:
		return nil, fmt.Errorf("there are no files *.json in %s", dir)
	}
	return files, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// readCases reads a file of cases. From a file with mistakes, it reads as many cases as
// possible.
func readCases(file string) (cases []*testCase, err error) {
	var texts []json.RawMessage
	if err := readJSON(file, &texts); err != nil {
		return nil, err
	}
	for i, text := range texts {
		c, mistake := readCase(text)
		if mistake != nil {
			err = errors.Join(err, fmt.Errorf("case %d, %q: %w", i+1, c.Name, mistake))
			continue
		}
		c.file = file
		cases = append(cases, c)
	}
	return cases, err
}

// readCase reads a case. A field that the runner does not know is not a mistake, but such
// a case must not pass.
func readCase(text []byte) (c *testCase, err error) {
	c = &testCase{}
	strict := decoder(text)
	strict.DisallowUnknownFields()
	unknown := strict.Decode(c)
	if unknown != nil {
		c = &testCase{unknown: unknown}
		if err := decoder(text).Decode(c); err != nil {
			return c, err
		}
	}
	if c.Name == "" || c.Area == "" {
		return c, errors.New("the case has no name, or no area")
	}
	return c, nil
}

// decoder keeps numbers as they are written, because longs have 64 bits.
func decoder(text []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d
}

// readJSON reads a file with one value.
func readJSON(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d := decoder(text)
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the value")
	}
	return nil
}

// ampleRetention is the suffix of variants whose stores never hide rows from their
// operators.
const ampleRetention = "~ample-retention"

// variantsOf returns the variants with ample retention, by case. Two directories may have
// cases with the same name.
func variantsOf(cases []*testCase) map[*testCase]*testCase {
	type place struct{ dir, name string }
	variants := map[place]*testCase{}
	for _, c := range cases {
		if strings.HasSuffix(c.Name, ampleRetention) {
			variants[place{filepath.Dir(c.file), c.TwinOf}] = c
		}
	}
	out := map[*testCase]*testCase{}
	for _, c := range cases {
		out[c] = variants[place{filepath.Dir(c.file), c.Name}]
	}
	return out
}
