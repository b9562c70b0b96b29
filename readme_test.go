package millrace_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every Go block in the README is a part of code that tests compile and run: of an
// Example or of an example program. The code of an Example may be indented.
func TestReadmeQuotesCode(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) < 5 {
		t.Errorf("the README has %d blocks of Go; the test should find a program, a topology, a query, a processor and a test", len(blocks))
	}
	code := examples(t)
	for _, block := range blocks {
		if text := string(block[1]); !strings.Contains(code, text) && !strings.Contains(code, indented(text)) {
			t.Errorf("no Example and no example program has this block of the README:\n%s", text)
		}
	}
}

// examples returns the code of all Examples and example programs.
func examples(t *testing.T) string {
	var all strings.Builder
	for _, pattern := range []string{"example*_test.go", "*/example*_test.go", "examples/*/main.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(code)
		}
	}
	return all.String()
}

func indented(block string) string {
	return regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(block, "\t$1")
}
